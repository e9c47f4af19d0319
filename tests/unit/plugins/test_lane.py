"""A plugin's lane: bounded, owned threads, and every caller gets an answer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from prx.core.errors import ConflictError, UnavailableError
from prx.plugins import lane as lane_module
from prx.plugins.lane import Completions, Lane
from tests.support.waiting import eventually


class Gate:
    """A job that runs until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self._open.wait(30)
        return threading.current_thread().name

    def open(self) -> None:
        self._open.set()


class Idles:
    """What the lane told about having nothing to do."""

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def __call__(self, asleep: bool) -> None:  # noqa: FBT001  # the shape that a lane calls
        self.seen.append(asleep)


@asynccontextmanager
async def lane_of(
    threads: int = 1, waiting: int = 2, on_idle: Callable[[bool], None] | None = None
) -> AsyncIterator[Lane]:
    lane = Lane(
        "weather",
        Completions(asyncio.get_running_loop()),
        threads=threads,
        waiting=waiting,
        on_idle=on_idle or Idles(),
    )
    yield lane
    assert await lane.aclose(30)


def lane_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prx-weather"]


async def test_jobs_run_on_threads_of_the_lane_and_return_to_the_loop() -> None:
    async with lane_of() as lane:
        assert lane_threads() == []
        assert await lane.submit(lambda: threading.current_thread().name) == "prx-weather"
        assert len(lane_threads()) == 1


async def test_what_a_job_raises_reaches_its_caller_and_the_lane_goes_on() -> None:
    async with lane_of() as lane:
        for error in (ValueError("mine"), SystemExit(3)):
            with pytest.raises(type(error)) as caught:
                await lane.submit(_raising(error))
            assert caught.value is error
        assert await lane.submit(lambda: 1) == 1


def _raising(error: BaseException) -> Callable[[], None]:
    def job() -> None:
        raise error

    return job


async def test_as_many_jobs_run_at_once_as_there_are_threads() -> None:
    async with lane_of(threads=3) as lane:
        gates = [Gate() for _ in range(3)]
        futures = [lane.submit(gate) for gate in gates]
        for gate in gates:
            await asyncio.to_thread(gate.entered.wait, 30)
        assert len(lane_threads()) == 3
        assert lane.outstanding == 3
        for gate in gates:
            gate.open()
        assert await asyncio.gather(*futures) == ["prx-weather"] * 3
        assert lane.outstanding == 0


async def test_a_call_too_many_is_refused_at_once_and_room_comes_back() -> None:
    async with lane_of(threads=1, waiting=2) as lane:
        gate = Gate()
        running = [lane.submit(gate), lane.submit(lambda: 2), lane.submit(lambda: 3)]
        with pytest.raises(
            UnavailableError, match=r'plugin "weather" is busy: 3 calls run or wait; .*max_concurrency'
        ):
            lane.submit(lambda: 4)
        gate.open()
        await asyncio.gather(*running)
        assert await lane.submit(lambda: 5) == 5


async def test_a_call_whose_caller_left_before_it_ran_never_runs() -> None:
    async with lane_of() as lane:
        gate, ran = Gate(), threading.Event()
        first, second = lane.submit(gate), lane.submit(ran.set)
        second.cancel()
        gate.open()
        await first
        assert await lane.submit(lambda: "next") == "next"
        assert not ran.is_set()
        assert lane.outstanding == 0


async def test_a_caller_that_leaves_while_its_call_runs_disturbs_nobody() -> None:
    async with lane_of() as lane:
        gate = Gate()
        first = lane.submit(gate)
        await asyncio.to_thread(gate.entered.wait, 30)
        first.cancel()
        second = lane.submit(lambda: "second")
        gate.open()
        assert await second == "second"


async def test_closing_lets_what_runs_and_waits_finish_and_ends_the_threads() -> None:
    async with lane_of() as lane:
        gate = Gate()
        futures = [lane.submit(gate), lane.submit(lambda: "waited")]
        await asyncio.to_thread(gate.entered.wait, 30)
        closing = asyncio.ensure_future(lane.aclose(30))
        await asyncio.sleep(0)
        gate.open()
        assert await closing
        assert await futures[1] == "waited"
        await eventually(lambda: not lane_threads())


async def test_a_call_that_comes_while_the_lane_ends_or_has_ended_runs_and_leaves_no_thread() -> None:
    async with lane_of() as lane:
        gate = Gate()
        first = lane.submit(gate)
        await asyncio.to_thread(gate.entered.wait, 30)
        closing = asyncio.ensure_future(lane.aclose(30))
        await asyncio.sleep(0)
        late = lane.submit(lambda: "late")
        gate.open()
        assert await late == "late"
        assert await first == "prx-weather"
        assert await closing
        for _ in range(3):
            assert await lane.submit(lambda: "later") == "later"
            await eventually(lambda: not lane_threads())


async def test_a_lane_that_is_closed_again_waits_for_what_came_between() -> None:
    async with lane_of() as lane:
        assert await lane.submit(lambda: 1) == 1
        assert await lane.aclose(30)
        gate = Gate()
        late = lane.submit(gate)
        await asyncio.to_thread(gate.entered.wait, 30)
        assert not await lane.aclose(0)
        gate.open()
        assert await lane.aclose(30)
        await late


async def test_closing_tells_when_a_call_outlives_it() -> None:
    async with lane_of() as lane:
        gate = Gate()
        future = lane.submit(gate)
        await asyncio.to_thread(gate.entered.wait, 30)
        assert not await lane.aclose(0)
        gate.open()
        await future
        assert await lane.aclose(30)


async def test_an_abandoned_lane_refuses_what_waits_and_lets_run_what_runs() -> None:
    async with lane_of() as lane:
        gate, ran = Gate(), threading.Event()
        first, second = lane.submit(gate), lane.submit(ran.set)
        await asyncio.to_thread(gate.entered.wait, 30)
        closing = asyncio.ensure_future(lane.aclose(30))
        await asyncio.sleep(0)
        lane.abandon(lambda: ConflictError("the call did not run"))
        with pytest.raises(ConflictError, match="the call did not run"):
            await second
        with pytest.raises(ConflictError, match="the call did not run"):
            lane.submit(lambda: 1)
        gate.open()
        assert await first == "prx-weather"
        assert await closing
        assert not ran.is_set()


async def test_idle_threads_end_and_new_ones_start_with_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A thread ends soon after its call.
    monkeypatch.setattr(lane_module, "_IDLE_SECS", 0.01)
    idles = Idles()
    async with lane_of(threads=2, on_idle=idles) as lane:
        for _ in range(3):
            assert await lane.submit(lambda: "done") == "done"
            await eventually(lambda: not lane_threads())
        assert idles.seen == [False, True] * 3


async def test_no_call_is_lost_while_threads_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    # A thread ends as soon as no call waits.
    monkeypatch.setattr(lane_module, "_IDLE_SECS", 0.0)
    async with lane_of(threads=4, waiting=64) as lane:
        for _ in range(100):
            assert await asyncio.gather(*(lane.submit(_number(n)) for n in range(8))) == list(range(8))


def _number(number: int) -> Callable[[], int]:
    return lambda: number


async def test_a_lane_survives_a_failure_between_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that failed is gone; the next call gets another."""
    failed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: failed.append(failure.exc_value))
    error = OSError("no descriptors left")
    failing = True

    def on_idle(_asleep: bool) -> None:  # noqa: FBT001  # the shape that a lane calls
        if failing:
            raise error

    async with lane_of(on_idle=on_idle) as lane:
        assert await lane.submit(lambda: 1) == 1
        await eventually(lambda: failed == [error] and not lane_threads())
        failing = False
        assert await lane.submit(lambda: 2) == 2


async def test_results_of_a_loop_that_is_gone_are_dropped() -> None:
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    loop.close()
    Completions(loop).deliver(future, 1, None)
    assert not future.done()
