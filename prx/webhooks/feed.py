"""What is known in memory alone, brought to the outbox at once: news of the bus, and new problems."""

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final

from prx.core.errors import UnavailableError
from prx.core.event import Event
from prx.core.ids import iso_utc, now_utc
from prx.core.unit import Problem
from prx.core.webhook import ALL
from prx.runtime.bus import HOST, Bus, Subscription
from prx.runtime.logging import get_logger
from prx.runtime.store import Store
from prx.webhooks.events import OF_TOPICS
from prx.webhooks.outbox import Happening, HookOutbox

_MAX_BATCH: Final = 256
_LOOK_SECS: Final = 1.0
_RETRY_SECS: Final = 1.0
_NUMBER: Final = re.compile(r"\d+")

_log = get_logger("webhooks")


class Feed:
    """Queues for hooks what the bus tells and what becomes wrong."""

    def __init__(
        self,
        bus: Bus,
        problems: Callable[[], Iterable[Problem]],
        store: Store,
        outbox: HookOutbox,
        wanted: Callable[[], frozenset[str]],
    ) -> None:
        """Queue in `outbox` what is among `wanted`; `problems` are those of `/status`."""
        self._bus = bus
        self._problems_now = problems
        self._store = store
        self._outbox = outbox
        self._wanted = wanted
        self._known: set[tuple[str, str]] = set()
        """The problems that are no news."""
        self._next_look = 0.0
        self.dropped = 0
        """How many events found no room."""
        self._dropping_since: datetime | None = None

    def problems(self) -> list[Problem]:
        """Return how many events found no room, for the rest of this run."""
        if self._dropping_since is None:
            return []
        return [
            Problem(
                unit="webhooks.feed",
                reason=f"{self.dropped} events came faster than they could be stored and are sent to nobody",
                since=self._dropping_since,
                action="have hooks ask for fewer events, or give the store a faster disk",
            )
        ]

    async def run(self) -> None:
        """Queue until cancelled; what has been taken from the bus by then is still stored."""
        with self._bus.subscribed(self._wants) as events:
            batch: list[Happening] = []
            try:
                while True:
                    await self._collect(events, batch)
                    await self._put(batch)
                    self._count(events)
            finally:
                batch += [_happening(await events.take()) for _ in range(events.queued)]
                if batch:
                    await self._store.run(lambda db: self._outbox.put_all(db, batch))

    async def _collect(self, events: Subscription, batch: list[Happening]) -> None:
        """Fill `batch` with what there is, new problems included; wait until there is something."""
        loop = asyncio.get_running_loop()
        while not batch:
            if loop.time() >= self._next_look:
                batch += self._new_problems()
                self._next_look = loop.time() + _LOOK_SECS
            with suppress(TimeoutError):
                async with asyncio.timeout_at(loop.time() if batch else self._next_look):
                    batch.append(_happening(await events.take()))
        while events.queued and len(batch) < _MAX_BATCH:
            batch.append(_happening(await events.take()))

    async def _put(self, batch: list[Happening]) -> None:
        """Store `batch` and empty it. A job that has begun is seen to its end: nothing is stored twice."""
        while batch:
            work = asyncio.ensure_future(self._store.run(lambda db: self._outbox.put_all(db, batch)))
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:
                await asyncio.wait({work})
                if work.exception() is None:
                    batch.clear()
                raise
            error = work.exception()
            if error is None:
                batch.clear()
            elif isinstance(error, UnavailableError):  # `/status` says so, too
                _log.warning("events for webhooks cannot be stored and wait", reason=error.message)
                await asyncio.sleep(_RETRY_SECS)
            else:
                raise error

    def _wants(self, topic: str, source: str) -> bool:
        name = OF_TOPICS.get(topic)
        return name is not None and source == HOST and self._anybody_wants(name)

    def _anybody_wants(self, name: str) -> bool:
        wanted = self._wanted()
        return name in wanted or ALL in wanted

    def _new_problems(self) -> list[Happening]:
        """Return what has become wrong since the last look, which is made whether or not anybody wants to hear of it.

        Whoever registers then hears of what becomes wrong from that moment on.
        """
        now = {_identity(problem): problem for problem in self._problems_now()}
        known, self._known = self._known, set(now)
        if not self._anybody_wants("error.occurred"):
            return []
        return [_trouble(problem) for key, problem in now.items() if key not in known]

    def _count(self, events: Subscription) -> None:
        if events.dropped > self.dropped:
            if self._dropping_since is None:
                self._dropping_since = now_utc()
            _log.warning("events for webhooks found no room", lost=events.dropped - self.dropped)
            self.dropped = events.dropped


def _happening(event: Event) -> Happening:
    data = event.payload if isinstance(event.payload, dict) else {"value": event.payload}
    return Happening(OF_TOPICS[event.topic], data, event.at)


def _identity(problem: Problem) -> tuple[str, str]:
    # Without numbers: what counts the losses of a hook would be news each time, and that news the next loss.
    return problem.unit, _NUMBER.sub("0", problem.reason)


def _trouble(problem: Problem) -> Happening:
    about = {
        "unit": problem.unit,
        "reason": problem.reason,
        "since": iso_utc(problem.since),
        "action": problem.action,
    }
    return Happening("error.occurred", about, now_utc())
