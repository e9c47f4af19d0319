"""The cron table: runs jobs when they are due, each in a task of its own, none beside itself."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from prx.core.errors import PrxError
from prx.core.ids import now_utc
from prx.core.job import Job, JobRun
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

log = get_logger("cron")

# How late a change of the clock may be noticed: the loop's own waits do not know of one.
_STEP_SECS = 15.0
_SET_BACK = timedelta(seconds=1)

_Key = tuple[str, str]


@dataclass(slots=True, eq=False)
class JobState:
    """One job in the table, over every job that took its place."""

    job: Job | None = None
    """`None` once it is withdrawn."""
    next_run: datetime | None = None
    last_run: JobRun | None = None
    running: bool = False


class Cron:
    """A unit that starts what is due. Offering jobs is a block, and needs no running unit.

    A job that still runs when it is due again is not started: its next time counts. Times that passed while the
    daemon did not run are not made up for.
    """

    name = "cron"

    def __init__(self, bus: Bus, now: Callable[[], datetime] = now_utc) -> None:
        """Tell `bus` of each run; `now` is the wall clock."""
        self._bus = bus
        self._now = now
        self._seen = now()
        self._states: dict[_Key, JobState] = {}
        self._changed = asyncio.Event()
        self._tasks = Tasks(log, lambda: None)
        self._serving = False

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        self._serving = True
        self._plan_all()
        started()
        try:
            while True:
                self._changed.clear()
                self._start_due()
                try:
                    async with asyncio.timeout(self._wait_secs()):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        finally:
            self._serving = False
            await self._tasks.aclose()

    @contextmanager
    def offering(self, jobs: Iterable[Job]) -> Iterator[list[JobState]]:
        """Run `jobs` when they are due for the length of the block; one that runs when it ends goes on to its end.

        What is yielded tells when they ran and will run; without a running unit they never will.
        """
        states = [self._enter(job) for job in jobs]
        self._changed.set()
        try:
            yield states
        finally:
            for state in states:
                self._withdraw(state)

    def _enter(self, job: Job) -> JobState:
        state = self._states.setdefault((job.source, job.name), JobState())
        state.job = job
        if self._serving:
            state.next_run = job.due.next_after(self._now())
        return state

    def _withdraw(self, state: JobState) -> None:
        job, state.job, state.next_run = state.job, None, None
        if job is not None:
            # Not at once: the job of a newer version, in the same step of the loop, goes on with what is known.
            asyncio.get_running_loop().call_soon(self._forget, (job.source, job.name))

    def _forget(self, key: _Key) -> None:
        state = self._states.get(key)
        if state is not None and state.job is None and not state.running:
            del self._states[key]

    def _plan_all(self) -> None:
        self._seen = self._now()
        for state in self._states.values():
            if state.job is not None:
                state.next_run = state.job.due.next_after(self._seen)

    def _start_due(self) -> None:
        now = self._now()
        if now < self._seen - _SET_BACK:
            log.info("the clock was set back; jobs are planned anew")
            self._plan_all()
        self._seen = now
        for key, state in self._states.items():
            if state.job is None or state.next_run is None or state.next_run > now:
                continue
            state.next_run = state.job.due.next_after(now)
            if state.running:
                log.warning("job is due and still runs", job=key[1], source=key[0])
            else:
                state.running = True
                self._tasks.start(self._run_job(state, state.job))

    def _wait_secs(self) -> float:
        due = [state.next_run for state in self._states.values() if state.next_run is not None]
        if not due:
            return _STEP_SECS
        return min(_STEP_SECS, max(0.0, (min(due) - self._now()).total_seconds()))

    async def _run_job(self, state: JobState, job: Job) -> None:
        began = self._now()
        self._bus.publish("prx.cron.tick", {"job": job.name, "source": job.source})
        success = False
        outcome = "it was cut off"
        try:
            outcome = await job.run()
            success = True
        except PrxError as error:
            outcome = error.message
            log.warning("job failed", job=job.name, source=job.source, reason=error.message)
        finally:
            state.last_run = JobRun(began, self._now(), outcome, success)
            state.running = False
            self._forget((job.source, job.name))
