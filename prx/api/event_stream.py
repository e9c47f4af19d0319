"""Events of the bus as a stream: what happens from now on."""

import json
from collections import OrderedDict
from typing import Final

from prx.api.sse import dropped, frame
from prx.core.event import Event
from prx.core.ids import iso_utc
from prx.runtime.bus import Bus, Subscription

_MAX_FRAMES: Final = 64
_BATCH_BYTES: Final = 64 * 1024


class EventFeed:
    """The bus for readers of streams: an event is encoded once for those that follow it."""

    def __init__(self, bus: Bus) -> None:
        """Hold nothing yet."""
        self.bus = bus
        self._frames: OrderedDict[str, bytes] = OrderedDict()

    def frame(self, event: Event) -> bytes:
        """Return the event as readers get it."""
        found = self._frames.get(event.id)
        if found is None:
            found = self._frames[event.id] = frame("event", _encoded(event), event.id)
            if len(self._frames) > _MAX_FRAMES:
                self._frames.popitem(last=False)
        return found


class BusSource:
    """What one reader is told; see `prx.api.sse.Source`."""

    def __init__(self, feed: EventFeed, events: Subscription) -> None:
        """Tell `events`."""
        self._feed = feed
        self._events = events
        self._told = 0

    async def next_frames(self) -> bytes:
        """See `Source.next_frames`."""
        frames = self._feed.frame(await self._events.take())
        while self._events.queued and len(frames) < _BATCH_BYTES:
            # Does not wait: nothing that was taken can be lost to a cancellation.
            frames += self._feed.frame(await self._events.take())
        if (lost := self._events.dropped - self._told) and not self._events.queued:
            self._told += lost
            frames += dropped(lost)
        return frames


def _encoded(event: Event) -> bytes:
    return json.dumps(
        {
            "id": event.id,
            "topic": event.topic,
            "payload": event.payload,
            "source": event.source,
            "timestamp": iso_utc(event.at),
        }
    ).encode()
