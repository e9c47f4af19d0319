"""The cron table, by a clock that the test sets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from prx.core.errors import CallFailedError
from prx.core.event import topics
from prx.runtime.bus import Bus
from prx.runtime.cron import Cron
from prx.runtime.schedule import Schedule
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    # The changed clock is noticed soon.
    monkeypatch.setattr("prx.runtime.cron._STEP_SECS", 0.005)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
        self.asked = 0

    def __call__(self) -> datetime:
        self.asked += 1
        return self.now

    async def advance(self, **by: int) -> None:
        """Move the clock and wait until the table has looked at it."""
        self.now += timedelta(**by)
        asked = self.asked
        await eventually(lambda: self.asked > asked + 3)


class Counting:
    """A job that counts its runs, and waits in each for `may_end`."""

    source = "test"

    def __init__(self, name: str = "count", schedule: str = "* * * * *") -> None:
        self.name = name
        self.due = Schedule(schedule)
        self.runs = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fails = False

    async def run(self) -> str:
        self.runs += 1
        number = self.runs
        await self.may_end.wait()
        if self.fails:
            raise CallFailedError("as it was told to")
        return f"run {number}"


@asynccontextmanager
async def running(cron: Cron) -> AsyncIterator[None]:
    started = asyncio.Event()
    unit = asyncio.ensure_future(cron.run(started.set))
    await started.wait()
    try:
        yield
    finally:
        unit.cancel()
        await asyncio.wait({unit})
    assert unit.cancelled()


async def test_a_job_runs_each_time_it_is_due_and_tells_the_bus() -> None:
    bus, clock, job = Bus(), Clock(), Counting()
    cron = Cron(bus, clock)
    with bus.subscribed(topics("prx.cron.tick")) as ticks, cron.offering([job]) as [state]:
        async with running(cron):
            await eventually(lambda: state.next_run == datetime(2026, 1, 1, 12, 1, tzinfo=UTC))
            assert (job.runs, state.last_run) == (0, None)
            await clock.advance(seconds=30)
            await eventually(lambda: state.last_run is not None)
            assert state.last_run is not None
            assert (state.last_run.outcome, state.last_run.success) == ("run 1", True)
            await clock.advance(minutes=1)
            await eventually(lambda: job.runs == 2)
        event = await anext(ticks.__aiter__())
        assert event.payload == {"job": "count", "source": "test"}


async def test_times_that_passed_while_nobody_looked_count_as_one() -> None:
    clock, job = Clock(), Counting()
    cron = Cron(Bus(), clock)
    with cron.offering([job]) as [state]:
        async with running(cron):
            await clock.advance(hours=5)
            await eventually(lambda: job.runs == 1)
            assert state.next_run == clock.now + timedelta(seconds=30)
            await clock.advance(seconds=1)
            assert job.runs == 1


async def test_a_clock_that_is_set_back_makes_no_job_wait_for_the_time_it_had() -> None:
    clock, job = Clock(), Counting()
    cron = Cron(Bus(), clock)
    with cron.offering([job]) as [state]:
        async with running(cron):
            await clock.advance(days=-30)
            assert state.next_run == clock.now + timedelta(seconds=30)
            await clock.advance(seconds=30)
            await eventually(lambda: job.runs == 1)


async def test_a_job_never_runs_beside_itself_and_holds_up_no_other() -> None:
    clock, slow, quick = Clock(), Counting("slow"), Counting("quick")
    slow.may_end.clear()
    cron = Cron(Bus(), clock)
    with cron.offering([slow, quick]) as [of_slow, _]:
        async with running(cron):
            for minute in range(3):
                await clock.advance(minutes=1)
                await eventually(lambda runs=minute + 1: quick.runs == runs)
            assert (slow.runs, of_slow.running) == (1, True)
            slow.may_end.set()
            await eventually(lambda: not of_slow.running)
            await clock.advance(minutes=1)
            await eventually(lambda: slow.runs == 2)


async def test_a_job_that_takes_the_place_of_one_waits_for_its_end_and_knows_its_last_run() -> None:
    clock, old, new = Clock(), Counting(), Counting()
    old.may_end.clear()
    cron = Cron(Bus(), clock)
    async with running(cron):
        with cron.offering([old]):
            await clock.advance(minutes=1)
            await eventually(lambda: old.runs == 1)
        with cron.offering([new]) as [state]:
            await clock.advance(minutes=1)
            assert new.runs == 0
            old.may_end.set()
            await eventually(lambda: state.last_run is not None)
            assert state.last_run is not None
            assert state.last_run.outcome == "run 1"
            await clock.advance(minutes=1)
            await eventually(lambda: new.runs == 1)
        await clock.advance(minutes=5)
        assert (old.runs, new.runs) == (1, 1)


async def test_a_job_that_fails_says_why_and_runs_again() -> None:
    clock, job = Clock(), Counting()
    job.fails = True
    cron = Cron(Bus(), clock)
    with cron.offering([job]) as [state]:
        async with running(cron):
            await clock.advance(minutes=1)
            await eventually(lambda: state.last_run is not None)
            assert state.last_run is not None
            assert (state.last_run.success, state.last_run.outcome) == (False, "as it was told to")
            await clock.advance(minutes=1)
            await eventually(lambda: job.runs == 2)


async def test_without_a_running_unit_nothing_is_due() -> None:
    cron = Cron(Bus(), Clock())
    with cron.offering([Counting()]) as [state]:
        assert state.next_run is None
        async with running(cron):
            await eventually(lambda: state.next_run is not None)


async def test_a_withdrawn_job_is_forgotten() -> None:
    cron = Cron(Bus(), Clock())
    with cron.offering([Counting()]) as [first]:
        pass
    with cron.offering([Counting()]) as [second]:
        assert second is first
    await eventually(lambda: not cron._states)
    with cron.offering([Counting()]) as [third]:
        assert third is not first
