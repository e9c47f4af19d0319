"""The event bus: facts that are already true, handed to whoever subscribed, never waiting for anybody."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from prx.core.event import Event, Wants
from prx.core.ids import new_id, now_utc
from prx.core.metric import Metric, counter, gauge

_MAX_QUEUED = 1024
_MAX_QUEUED_BYTES = 4 << 20
HOST = "prx"


class Subscription:
    """The events of one subscriber that it has not taken yet: bounded, newer ones are dropped and counted."""

    def __init__(self, wants: Wants, max_bytes: int) -> None:
        """Take what `wants` says yes to, 1024 events and `max_bytes` of payload at most."""
        self.wants = wants
        self.dropped = 0
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_MAX_QUEUED)
        self._sizes: deque[int] = deque()
        """Of what is queued."""
        self._room = max_bytes

    def offer(self, event: Event, size: int) -> None:
        """Queue `event`, whose payload has `size` bytes as JSON, if there is room."""
        if size > self._room or self._queue.full():
            self.dropped += 1
            return
        self._room -= size
        self._sizes.append(size)
        self._queue.put_nowait(event)

    @property
    def queued(self) -> int:
        """How many wait to be taken."""
        return self._queue.qsize()

    async def take(self) -> Event:
        """Return the next event; waits for it only where none is queued. A cancelled wait takes none."""
        event = await self._queue.get()
        self._room += self._sizes.popleft()
        return event

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
        """Whether there is any subscriber, from any thread; where there is none, nobody need hand over what to tell."""
        return bool(self._subscriptions)

    def wanted(self, topic: str) -> bool:
        """Whether anybody wants to hear of `topic` from the daemon; otherwise nobody need put together what to tell."""
        return any(subscription.wants(topic, HOST) for subscription in self._subscriptions)

    def publish(self, topic: str, payload: Any, *, source: str = HOST, depth: int = 0) -> None:
        """Tell every subscriber what happened; returns at once."""
        wanting = [each for each in self._subscriptions if each.wants(topic, source)]
        if wanting:
            event = Event(new_id("evt"), topic, payload, source, now_utc(), depth)
            size = len(json.dumps(payload))
            for subscription in wanting:
                subscription.offer(event, size)

    @contextmanager
    def subscribed(self, wants: Wants, *, max_bytes: int = _MAX_QUEUED_BYTES) -> Iterator[Subscription]:
        """Receive the events that `wants` says yes to for the length of the block.

        Up to 1024 of them wait to be taken, with payloads of up to `max_bytes`.
        """
        subscription = Subscription(wants, max_bytes)
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
