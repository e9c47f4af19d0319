"""The event bus: facts that are already true, handed to whoever subscribed, never waiting for anybody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prx.core.event import Event, compile_pattern
from prx.core.ids import new_id, now_utc

_MAX_QUEUED = 1024
HOST = "prx"


class Subscription:
    """The events of one subscriber that it has not taken yet: 1024 at most, newer ones are dropped and counted."""

    def __init__(self, patterns: tuple[str, ...], ignore_source: str | None) -> None:
        """Take topics that match one of `patterns`, and nothing that `ignore_source` published."""
        self._tests: tuple[Callable[[str], bool], ...] = tuple(map(compile_pattern, patterns))
        self._ignore = ignore_source
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_MAX_QUEUED)
        self.dropped = 0

    def offer(self, event: Event) -> None:
        """Queue `event` if it is wanted and there is room."""
        if event.source == self._ignore or not any(test(event.topic) for test in self._tests):
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events as they come, for ever."""
        while True:
            yield await self._queue.get()


class Bus:
    """Lives on the event loop; other threads hand over with `call_soon_threadsafe`."""

    def __init__(self) -> None:
        """Start with no subscriber."""
        self._subscriptions: set[Subscription] = set()

    def publish(self, topic: str, payload: Any, *, source: str = HOST, depth: int = 0) -> Event:
        """Tell every subscriber what happened; returns at once."""
        event = Event(new_id("evt"), topic, payload, source, now_utc(), depth)
        for subscription in self._subscriptions:
            subscription.offer(event)
        return event

    @contextmanager
    def subscribed(self, *patterns: str, ignore_source: str | None = None) -> Iterator[Subscription]:
        """Receive what matches one of `patterns` for the length of the block.

        Raises:
            BadRequestError: one is no pattern.
        """
        subscription = Subscription(patterns, ignore_source)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
