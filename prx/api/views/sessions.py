"""Sessions: beginning, listing, looking at and ending them."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import to_json

from prx.api.bodies import WholeNumber, read_body, read_query, reply
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


class NewSession(BaseModel):
    """A session to begin."""

    model_config = ConfigDict(extra="forbid", strict=True)

    channel: Channel
    """Where its messages come from: a channel's name, or `api`."""
    user_id: str = Field(min_length=1, max_length=MAX_USER_ID_CHARS)
    """Who the other side is, in the caller's own terms."""
    metadata: Annotated[dict[str, Any], AfterValidator(_small)] = {}
    """Whatever the caller wants to keep with it, up to 16 KiB as JSON."""


class SessionFilter(BaseModel):
    """Which sessions to list."""

    status: SessionStatus = "active"
    channel: Channel | None = None
    limit: Annotated[WholeNumber, Field(ge=1, le=500)] = 50
    offset: WholeNumber = 0
    """How many of the newest to leave out."""


@routes.post("/sessions", scope="sessions:write")
async def create_session(request: web.Request) -> web.Response:
    """Begin a session."""
    body = await read_body(request, NewSession)
    session = await request.app[SESSIONS].create(body.channel, body.user_id, body.metadata)
    return reply(_begun(session) | {"metadata": session.metadata}, status=201)


@routes.get("/sessions", scope="sessions:read")
async def list_sessions(request: web.Request) -> web.Response:
    """Sessions of one status, the newest first."""
    asked = read_query(request, SessionFilter)
    page = await request.app[SESSIONS].list(
        status=asked.status, channel=asked.channel, limit=asked.limit, offset=asked.offset
    )
    return reply({"sessions": [_row(session) for session in page.sessions], "total": page.total})


@routes.get("/sessions/{id}", scope="sessions:read")
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


@routes.delete("/sessions/{id}", scope="sessions:write")
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
