"""Sessions: beginning, listing, looking at and ending them."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, Field
from pydantic_core import to_json

from prx.api.bodies import Body, Parameters, WholeNumber, reply
from prx.api.deps import SESSIONS
from prx.api.routes import Routes
from prx.core.ids import iso_utc
from prx.core.session import (
    MAX_CHANNEL_CHARS,
    MAX_METADATA_BYTES,
    MAX_USER_ID_CHARS,
    SessionStatus,
    SessionSummary,
)

routes = Routes()


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    size = len(to_json(metadata))
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"has at most {MAX_METADATA_BYTES} bytes as JSON, this one has {size}")
    return metadata


Channel = Annotated[str, Field(min_length=1, max_length=MAX_CHANNEL_CHARS)]


class NewSession(Body):
    """A session to begin."""

    channel: Channel
    """Where its messages come from: a channel's name, or `api`."""
    user_id: str = Field(min_length=1, max_length=MAX_USER_ID_CHARS)
    """Who the other side is, in the caller's own terms."""
    metadata: Annotated[dict[str, Any], AfterValidator(_small)] = Field(default_factory=dict)
    """Whatever the caller wants to keep with it, up to 16 KiB as JSON."""


class SessionFilter(Parameters):
    """Which sessions to list."""

    status: SessionStatus = "active"
    channel: Channel | None = None
    limit: Annotated[WholeNumber, Field(ge=1, le=500)] = 50
    offset: WholeNumber = 0
    """How many of the newest to leave out."""


@routes.post("/sessions", scope="sessions:write", body=NewSession, status=201, refuses=(503,))
async def create_session(request: web.Request, body: NewSession) -> web.Response:
    """Begin a session."""
    session = await request.app[SESSIONS].create(body.channel, body.user_id, body.metadata)
    return reply(_begun(session) | {"metadata": session.metadata}, status=201)


@routes.get("/sessions", scope="sessions:read", query=SessionFilter, refuses=(503,))
async def list_sessions(request: web.Request, asked: SessionFilter) -> web.Response:
    """Sessions of one status, the newest first."""
    page = await request.app[SESSIONS].list(
        status=asked.status, channel=asked.channel, limit=asked.limit, offset=asked.offset
    )
    return reply({"sessions": [_row(session) for session in page.sessions], "total": page.total})


@routes.get("/sessions/{id}", scope="sessions:read", refuses=(404, 503))
async def get_session(request: web.Request) -> web.Response:
    """One session in full."""
    session = await request.app[SESSIONS].get(request.match_info["id"])
    return reply(
        _row(session)
        | {
            "turn_count": session.turn_count,
            "token_usage": session.token_usage._asdict(),
            "metadata": session.metadata,
        }
    )


@routes.delete("/sessions/{id}", scope="sessions:write", refuses=(404, 409, 503))
async def terminate_session(request: web.Request) -> web.Response:
    """End a session for good."""
    await request.app[SESSIONS].terminate(request.match_info["id"])
    return web.Response(status=204)


def _begun(session: SessionSummary) -> dict[str, Any]:
    return {
        "id": session.id,
        "channel": session.channel,
        "user_id": session.user_id,
        "status": session.status,
        "created_at": iso_utc(session.created_at),
    }


def _row(session: SessionSummary) -> dict[str, Any]:
    return _begun(session) | {"last_activity": iso_utc(session.last_activity)}
