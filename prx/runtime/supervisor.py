"""Keeps units alive: starts them, restarts what fails after growing pauses, stops them in bounded time."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from prx.core.channel_errors import ThrottledError
from prx.core.errors import ConflictError, NotFoundError, PermanentError, PrxError, UnavailableError
from prx.core.ids import now_utc
from prx.core.metric import Metric
from prx.core.unit import Problem, Unit
from prx.runtime.backoff import Backoff
from prx.runtime.logging import get_logger
from prx.runtime.pauses import Pauses
from prx.runtime.unit_status import RestartPolicy, State, UnitStatus, metrics_of

_log = get_logger("supervisor")


@dataclass(slots=True, eq=False)
class _Entry:
    unit: Unit
    policy: RestartPolicy
    remedy: str
    own_problems: bool
    pauses: Pauses
    status: UnitStatus
    failures: deque[float] = field(default_factory=deque)
    running_since: float | None = None
    stopping: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stop_or_start: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[None] | None = None


class _End(NamedTuple):
    """How a life ended by itself."""

    reason: str
    least_pause_secs: float
    """How long to wait at least before the next one, where somebody asked for that."""


class Supervisor:
    """Owns a task for each unit; the only writer of a unit's state."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Start with no units; the arguments are where time and chance come from."""
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._entries: dict[str, _Entry] = {}
        self._closed = False

    def add(
        self,
        unit: Unit,
        policy: RestartPolicy | None = None,
        *,
        remedy: str = "remove the cause, then restart the daemon",
        own_problems: bool = False,
    ) -> None:
        """Start `unit` and keep it alive until it is removed.

        Args:
            unit: what to run.
            policy: when it is started again.
            remedy: what to do when it is given up.
            own_problems: its owner tells what is wrong with it, so that `problems` does not.

        Raises:
            ConflictError: a unit of this name is there.
            UnavailableError: the supervisor is closed.
        """
        if self._closed:
            raise UnavailableError(f'unit "{unit.name}" is not started: the daemon is stopping')
        if unit.name in self._entries:
            raise ConflictError(f'unit "{unit.name}" is there already')
        policy = policy or RestartPolicy()
        backoff = Backoff(policy.first_pause_secs, policy.most_pause_secs, chance=self._chance)
        pauses = Pauses(unit, backoff, self._sleep)
        status = UnitStatus(unit.name, "stopped", None, now_utc(), 0)
        entry = self._entries[unit.name] = _Entry(unit, policy, remedy, own_problems, pauses, status)
        self._start(entry)

    async def remove(self, name: str) -> None:
        """Stop a unit and forget it.

        Raises:
            NotFoundError: no such unit.
            UnavailableError: it does not stop; it stays, as `failed`.
        """
        entry = self._entry(name)
        async with entry.stop_or_start:
            await self._stop(entry)
            self._entries.pop(name, None)

    async def restart(self, name: str) -> None:
        """Stop a unit and start it afresh, whatever its state, its past failures forgotten.

        Raises:
            NotFoundError: no such unit, or it was removed meanwhile.
            UnavailableError: it does not stop; a second one is not started beside it.
        """
        entry = self._entry(name)
        async with entry.stop_or_start:
            if self._entries.get(name) is not entry:
                raise _missing(name)
            entry.status = replace(entry.status, restarts=entry.status.restarts + 1)
            await self._stop(entry)
            _forget_failures(entry)
            self._start(entry)

    def hurry(self, name: str, least_pause_secs: float) -> None:
        """Have a unit that has paused this long already begin its next life now; its pauses go on growing."""
        if (entry := self._entries.get(name)) is not None:
            entry.pauses.hurry(least_pause_secs)

    def status(self) -> list[UnitStatus]:
        """Return every unit's status, by name."""
        return [self._entries[name].status for name in sorted(self._entries)]

    def find(self, name: str) -> UnitStatus | None:
        """Return one unit's status; `None` where there is no such unit."""
        entry = self._entries.get(name)
        return None if entry is None else entry.status

    async def wait(self, name: str, states: Collection[State], timeout_secs: float) -> UnitStatus:
        """Return a unit's status as soon as it is in one of `states`.

        Raises:
            NotFoundError: no such unit.
            UnavailableError: it was not within `timeout_secs`.
        """
        entry = self._entry(name)
        try:
            async with asyncio.timeout(timeout_secs):
                while entry.status.state not in states:
                    await entry.changed.wait()
        except TimeoutError:
            raise UnavailableError(
                f'unit "{name}" is {entry.status.state} after {timeout_secs:g} s, not {" or ".join(states)}'
            ) from None
        return entry.status

    def problems(self) -> list[Problem]:
        """Return the units that do not run although they should."""
        troubled = [
            entry
            for entry in self._entries.values()
            if entry.status.state in ("backoff", "failed") and not entry.own_problems
        ]
        return [
            Problem(
                unit=entry.status.name,
                reason=entry.status.reason or "failed",
                since=entry.status.since,
                action="it is tried again by itself" if entry.status.state == "backoff" else entry.remedy,
            )
            for entry in sorted(troubled, key=lambda entry: entry.status.name)
        ]

    def metrics(self) -> list[Metric]:
        """Return how many units are in each state, and how each is; see `MetricSource`."""
        return metrics_of(self.status())

    async def aclose(self) -> None:
        """Stop every unit, all at once; further ones are refused.

        Raises:
            UnavailableError: names those that did not stop in their time.
        """
        self._closed = True
        ended = await asyncio.gather(*map(self.remove, list(self._entries)), return_exceptions=True)
        reasons = [str(error) for error in ended if isinstance(error, UnavailableError)]
        if reasons:
            raise UnavailableError("; ".join(reasons))

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise _missing(name)
        return self._entries[name]

    def _start(self, entry: _Entry) -> None:
        entry.stopping = False
        # Now, not when its task has its turn: nobody is to find it stopped meanwhile.
        self._set(entry, "starting")
        entry.task = asyncio.create_task(self._keep_alive(entry), name=f"unit {entry.unit.name}")

    async def _stop(self, entry: _Entry) -> None:
        task = entry.task
        if task is None or task.done():
            return
        entry.stopping = True
        self._set(entry, "stopping")
        task.cancel()
        await asyncio.wait({task}, timeout=entry.policy.stop_secs)
        if not task.done():
            reason = f"did not stop within {entry.policy.stop_secs:g} s"
            self._set(entry, "failed", reason)
            raise UnavailableError(f'unit "{entry.unit.name}" {reason}')

    async def _keep_alive(self, entry: _Entry) -> None:
        try:
            while (end := await self._one_life(entry)) is not None:
                await self._pause(entry, end)
                entry.status = replace(entry.status, restarts=entry.status.restarts + 1)
                self._set(entry, "starting")
        except PermanentError as error:
            self._set(entry, "failed", error.message)
        finally:
            if entry.stopping:
                self._set(entry, "stopped")

    async def _one_life(self, entry: _Entry) -> _End | None:
        """Run the unit until it ends; return why, or None when it was told to stop."""
        entry.running_since = None
        least_pause_secs = 0.0
        try:
            await entry.unit.run(lambda: self._started(entry))
        except PermanentError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this task: the unit let a cancellation of its own escape.
            reason = "was cancelled from within"
        except PrxError as error:
            reason = error.message
            if isinstance(error, ThrottledError):
                least_pause_secs = error.retry_after_secs
        except Exception as error:  # noqa: BLE001  # the supervisor is where a unit's failures end
            reason = f"{type(error).__name__}: {error}"
            _log.error("unit failed", unit=entry.unit.name, exc_info=error)
        else:
            reason = "ended although nobody stopped it"
        return None if entry.stopping else _End(reason, least_pause_secs)

    def _started(self, entry: _Entry) -> None:
        if entry.status.state == "starting":
            entry.running_since = self._clock()
            self._set(entry, "running")

    async def _pause(self, entry: _Entry, end: _End) -> None:
        """Wait before the next life.

        Raises:
            PermanentError: it failed too often for another one.
        """
        now, policy = self._clock(), entry.policy
        if entry.running_since is not None and now - entry.running_since >= policy.healthy_secs:
            _forget_failures(entry)
        entry.failures.append(now)
        while entry.failures[0] <= now - policy.window_secs:
            entry.failures.popleft()
        if policy.max_restarts is not None and len(entry.failures) > policy.max_restarts:
            raise PermanentError(
                f"failed {len(entry.failures)} times within {policy.window_secs:g} s; the last time: {end.reason}"
            )
        entry.status = replace(entry.status, failures=entry.status.failures + 1)
        self._set(entry, "backoff", end.reason)
        await entry.pauses.wait(end.least_pause_secs)

    def _set(self, entry: _Entry, state: State, reason: str | None = None) -> None:
        entry.status = replace(entry.status, state=state, reason=reason, since=now_utc())
        entry.changed.set()
        entry.changed = asyncio.Event()
        log = _log.error if state == "failed" else _log.warning if state == "backoff" else _log.debug
        log(f"unit is {state}", unit=entry.unit.name, **({} if reason is None else {"reason": reason}))


def _forget_failures(entry: _Entry) -> None:
    entry.pauses.forget()
    entry.failures.clear()
    entry.status = replace(entry.status, failures=0)


def _missing(name: str) -> NotFoundError:
    return NotFoundError(f'there is no unit "{name}"')
