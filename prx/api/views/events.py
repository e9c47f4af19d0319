"""Events: what happens in the daemon, as it happens."""

from typing import Final

from aiohttp import web

from prx.api.deps import EVENTS, STREAMS
from prx.api.event_stream import BusSource
from prx.api.routes import Routes
from prx.core.errors import BadRequestError
from prx.core.event import topics

routes = Routes()

_MAX_PATTERNS: Final = 16


@routes.get("/events", scope="events:read")
async def stream_events(request: web.Request) -> web.StreamResponse:
    """Events whose topic matches one of the `topic` patterns, as Server-Sent Events."""
    patterns = request.query.getall("topic", ["*"])
    if len(patterns) > _MAX_PATTERNS:
        raise BadRequestError(f"topic: at most {_MAX_PATTERNS} patterns, these are {len(patterns)}")
    feed = request.app[EVENTS]
    with feed.bus.subscribed(topics(*patterns)) as events:
        return await request.app[STREAMS].send(request, BusSource(feed, events))
