"""Sessions: beginning, listing, looking at and ending them."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, Field
from pydantic_core import to_json

from prx.api.answers.sessions import BegunSession, ListedSession, SessionDetail, SessionHead, SessionList
from prx.api.bodies import Body, PageLimit, Parameters, WholeNumber, reply
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
    limit: PageLimit = 50
    offset: WholeNumber = 0
    """How many of the newest to leave out."""


@routes.post(
    "/sessions", scope="sessions:write", body=NewSession, answer=BegunSession, status=201, refuses=(503,)
)
async def create_session(request: web.Request, body: NewSession) -> web.Response:
    """Begin a session."""
    session = await request.app[SESSIONS].create(body.channel, body.user_id, body.metadata)
    begun: BegunSession = {**_begun(session), "metadata": dict(session.metadata)}
    return reply(begun, status=201)


@routes.get("/sessions", scope="sessions:read", query=SessionFilter, answer=SessionList, refuses=(503,))
async def list_sessions(request: web.Request, asked: SessionFilter) -> web.Response:
    """Sessions of one status, the newest first."""
    page = await request.app[SESSIONS].list(
        status=asked.status, channel=asked.channel, limit=asked.limit, offset=asked.offset
    )
    found: SessionList = {"sessions": [_row(session) for session in page.sessions], "total": page.total}
    return reply(found)


@routes.get("/sessions/{id}", scope="sessions:read", answer=SessionDetail, refuses=(404, 503))
async def get_session(request: web.Request) -> web.Response:
    """One session in full."""
    session = await request.app[SESSIONS].get(request.match_info["id"])
    detail: SessionDetail = {
        **_row(session),
        "turn_count": session.turn_count,
        "token_usage": {"input": session.token_usage.input, "output": session.token_usage.output},
        "metadata": dict(session.metadata),
    }
    return reply(detail)


@routes.delete("/sessions/{id}", scope="sessions:write", refuses=(404, 409, 503))
async def terminate_session(request: web.Request) -> web.Response:
    """End a session for good."""
    await request.app[SESSIONS].terminate(request.match_info["id"])
    return web.Response(status=204)


def _begun(session: SessionSummary) -> SessionHead:
    return {
        "id": session.id,
        "channel": session.channel,
        "user_id": session.user_id,
        "status": session.status,
        "created_at": iso_utc(session.created_at),
    }


def _row(session: SessionSummary) -> ListedSession:
    return {**_begun(session), "last_activity": iso_utc(session.last_activity)}
