"""Events: what happens in the daemon, as it happens."""

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field, WithJsonSchema

from prx.api.answers.logs import BusEvent, DroppedEvent
from prx.api.bodies import Parameters
from prx.api.deps import EVENTS, STREAMS
from prx.api.event_stream import BusSource
from prx.api.routes import Routes
from prx.core.event import MAX_TOPIC_BYTES, topics

routes = Routes()

_MAX_PATTERNS: Final = 16
# What a reader that stalls may hold: there may be hundreds of them.
_MAX_QUEUED_BYTES: Final = 512 * 1024
_SEGMENT: Final = r"(\*{1,2}|[^.*\s\x00-\x1f]+)"
_Pattern = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "pattern": rf"^{_SEGMENT}(\.{_SEGMENT})*$", "maxLength": MAX_TOPIC_BYTES}
    ),
]


class EventParameters(Parameters):
    """Which events to tell."""

    topic: list[_Pattern] = Field(default=["*"], min_length=1, max_length=_MAX_PATTERNS)
    """Patterns: one of them has to match the event's topic."""


@routes.get(
    "/events",
    scope="events:read",
    query=EventParameters,
    streams={"event": BusEvent, "dropped": DroppedEvent},
    refuses=(503,),
)
async def stream_events(request: web.Request, asked: EventParameters) -> web.StreamResponse:
    """Events whose topic matches one of the `topic` patterns, as Server-Sent Events."""
    feed = request.app[EVENTS]
    with feed.bus.subscribed(topics(*asked.topic), max_bytes=_MAX_QUEUED_BYTES) as events:
        return await request.app[STREAMS].send(request, BusSource(feed, events))
