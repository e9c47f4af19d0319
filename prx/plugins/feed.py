"""Hands a hook plugin the events that it wants, one after the other, at the plugin's own pace."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prx.core.errors import PrxError
from prx.core.event import Event
from prx.plugins.worlds.hook import Hook
from prx.runtime.bus import Bus, Subscription
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

log = get_logger("plugins::feed")


class Feed:
    """The events of one plugin, over its generations: what waits when a newer version takes over goes to that one."""

    def __init__(self, plugin: str, bus: Bus, tasks: Tasks) -> None:
        """Listen to nothing yet; `tasks` owns the delivery."""
        self._plugin = plugin
        self._bus = bus
        self._tasks = tasks
        self._hook: Hook | None = None
        self._events: Subscription | None = None
        self._listening = ExitStack()
        self._failing = False
        self._dropped = 0
        self.delivered = 0
        self.failed = 0
        """Events that the hook did not take: it failed, was in quarantine or too busy."""

    @property
    def dropped(self) -> int:
        """How many events were lost because 1024 waited already."""
        return self._dropped + (self._events.dropped if self._events is not None else 0)

    @property
    def queued(self) -> int:
        """How many events wait."""
        return self._events.queued if self._events is not None else 0

    @contextmanager
    def serving(self, hook: Hook) -> Iterator[None]:
        """Deliver to `hook` for the length of the block; the guest finishes the event that it is told of."""
        self._hook = hook
        if self._events is None:
            self._listen()
        try:
            yield
        finally:
            if self._hook is hook:
                self._hook = None
                # Not at once: a newer version's hook, in the same step of the loop, takes over what waits.
                asyncio.get_running_loop().call_soon(self._end_unserved)

    def _listen(self) -> None:
        self._events = self._listening.enter_context(self._bus.subscribed(self._wants))
        delivery = self._tasks.start(self._deliver_all(self._events))
        self._listening.callback(delivery.cancel)

    def _end_unserved(self) -> None:
        if self._hook is None and self._events is not None:
            self._dropped += self._events.dropped
            self._events = None
            self._listening.close()

    def _wants(self, topic: str, source: str) -> bool:
        return self._hook is not None and self._hook.wants(topic, source)

    async def _deliver_all(self, events: Subscription) -> None:
        async for event in events:
            if (hook := self._hook) is not None:
                await self._deliver(hook, event)

    async def _deliver(self, hook: Hook, event: Event) -> None:
        try:
            failure = await hook.deliver(event)
            reason = None if failure is None else failure.message
        except PrxError as error:
            reason = error.message
        if reason is None:
            self.delivered += 1
        else:
            self.failed += 1
            # The first of a series: a hook that fails at everything must not fill the log.
            write = log.debug if self._failing else log.warning
            write("hook did not take an event", plugin=self._plugin, topic=event.topic, reason=reason)
        self._failing = reason is not None
