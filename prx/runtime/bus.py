"""The event bus: facts that are already true, handed to whoever subscribed, never waiting for anybody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prx.core.event import Event
from prx.core.ids import new_id, now_utc
from prx.core.metric import Metric, counter, gauge

_MAX_QUEUED = 1024
HOST = "prx"


class Subscription:
    """The events of one subscriber that it has not taken yet: 1024 at most, newer ones are dropped and counted."""

    def __init__(self, wants: Callable[[Event], bool]) -> None:
        """Take what `wants` says yes to."""
        self._wants = wants
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_MAX_QUEUED)
        self.dropped = 0

    def offer(self, event: Event) -> None:
        """Queue `event` if it is wanted and there is room."""
        if not self._wants(event):
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1

    @property
    def queued(self) -> int:
        """How many wait to be taken."""
        return self._queue.qsize()

    async def take(self) -> Event:
        """Return the next event; waits for it only where none is queued. A cancelled wait takes none."""
        return await self._queue.get()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events as they come, for ever."""
        while True:
            yield await self.take()


class Bus:
    """Lives on the event loop; other threads hand over with `call_soon_threadsafe`."""

    def __init__(self) -> None:
        """Start with no subscriber."""
        self._subscriptions: set[Subscription] = set()
        self._dropped = 0
        """By subscribers that have gone."""

    @property
    def heard(self) -> bool:
        """Whether there is any subscriber; where there is none, nobody need put together what to tell."""
        return bool(self._subscriptions)

    def publish(self, topic: str, payload: Any, *, source: str = HOST, depth: int = 0) -> None:
        """Tell every subscriber what happened; returns at once."""
        if not self._subscriptions:
            return
        event = Event(new_id("evt"), topic, payload, source, now_utc(), depth)
        for subscription in self._subscriptions:
            subscription.offer(event)

    @contextmanager
    def subscribed(self, wants: Callable[[Event], bool]) -> Iterator[Subscription]:
        """Receive the events that `wants` says yes to for the length of the block."""
        subscription = Subscription(wants)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._dropped += subscription.dropped

    def metrics(self) -> list[Metric]:
        """Return who listens, and what was lost; see `MetricSource`."""
        dropped = self._dropped + sum(subscription.dropped for subscription in self._subscriptions)
        return [
            gauge("prx_bus_subscribers", "Who listens to events", len(self._subscriptions)),
            counter("prx_bus_events_dropped", "Events that a subscriber was too slow for", dropped),
        ]
