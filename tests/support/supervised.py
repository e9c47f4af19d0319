"""A supervisor whose time a test moves, and a unit that it steers."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from prx.runtime.supervisor import Supervisor
from prx.runtime.unit_status import State


class Time:
    """A clock that stands until a test moves it; sleepers wake when it has passed their time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, secs: float) -> None:
        self.pauses.append(secs)
        waker = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + secs, waker))
        await waker

    def advance(self, secs: float) -> None:
        self.now += secs
        for due, waker in self._sleepers:
            if due <= self.now and not waker.done():
                waker.set_result(None)


class Worker:
    """A unit that a test steers: it serves until it is told how to end."""

    def __init__(self, name: str = "test.worker") -> None:
        self.name = name
        self.lives = 0
        self.serving = 0
        self.ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, started: Callable[[], None]) -> None:
        self.lives += 1
        self.serving += 1
        self.ending = asyncio.get_running_loop().create_future()
        try:
            started()
            await self.ending
        finally:
            self.serving -= 1

    def fail(self, error: Exception) -> None:
        self.ending.set_exception(error)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def supervisor(time: Time) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(clock=time.clock, sleep=time.sleep, chance=lambda: 1.0)
    yield supervisor
    await supervisor.aclose()


async def reached(supervisor: Supervisor, state: State, name: str = "test.worker") -> str | None:
    """Wait until the unit is in `state` and return the reason."""
    return (await supervisor.wait(name, {state}, timeout_secs=30)).reason


async def fails(
    supervisor: Supervisor, worker: Worker, error: Exception, then: State = "backoff"
) -> str | None:
    await reached(supervisor, "running", worker.name)
    worker.fail(error)
    return await reached(supervisor, then, worker.name)
