"""Messages of sessions: sending one, and the transcript."""

from typing import Annotated, Final

from aiohttp import hdrs, web
from pydantic import AfterValidator, Field

from prx.api.answers.approvals import ShownApproval
from prx.api.answers.messages import (
    Cancelled,
    ShownAnswer,
    ShownCall,
    ShownError,
    ShownPiece,
    ShownResult,
    Transcript,
)
from prx.api.bodies import Body, PageLimit, Parameters, WholeNumber, reply
from prx.api.contents import FIT_KEY, fit_content, fit_key
from prx.api.contract import Header
from prx.api.deps import AGENT, REQUEST_ID, SESSIONS, STREAMS
from prx.api.routes import Routes
from prx.api.turn_stream import TurnSource, shown_answer, shown_message
from prx.core.errors import BadRequestError

routes = Routes()

_KEY: Final = "Idempotency-Key"


class NewMessage(Body):
    """A message to the agent."""

    content: Annotated[
        str, Field(json_schema_extra={"pattern": r"[^\s\x1c-\x1f]"}), AfterValidator(fit_content)
    ]
    """What to say, up to 256 KiB."""


class TranscriptPart(Parameters):
    """Which part of a transcript."""

    limit: PageLimit = 50
    offset: WholeNumber = 0
    """How many of the oldest to leave out."""


@routes.post(
    "/sessions/{id}/messages",
    scope="sessions:write",
    body=NewMessage,
    headers={
        _KEY: Header(
            "Makes it safe to send the message again: it is there once, and so is its answer.", FIT_KEY
        )
    },
    answer=ShownAnswer,
    streams={
        "token": ShownPiece,
        "tool_call": ShownCall,
        "approval": ShownApproval,
        "tool_result": ShownResult,
        "done": ShownAnswer,
        "error": ShownError,
    },
    refuses=(400, 404, 409, 503),
)
async def post_message(request: web.Request, body: NewMessage) -> web.StreamResponse:
    """Say something, and wait for the answer; with `Accept: text/event-stream` follow how it comes about."""
    pending = await request.app[AGENT].post(
        request.match_info["id"], body.content, key=_key_of(request), request_id=request[REQUEST_ID]
    )
    if "text/event-stream" in request.headers.get(hdrs.ACCEPT, ""):
        return await request.app[STREAMS].send(request, TurnSource(pending.feed), ends=True)
    return reply(shown_answer(await pending.answer()))


@routes.get(
    "/sessions/{id}/messages",
    scope="sessions:read",
    query=TranscriptPart,
    answer=Transcript,
    refuses=(404, 503),
)
async def list_messages(request: web.Request, asked: TranscriptPart) -> web.Response:
    """What was said in a session, the oldest first."""
    page = await request.app[AGENT].transcript(
        request.match_info["id"], limit=asked.limit, offset=asked.offset
    )
    found: Transcript = {"messages": [shown_message(each) for each in page.messages], "total": page.total}
    return reply(found)


@routes.post("/sessions/{id}/cancel", scope="sessions:write", answer=Cancelled, refuses=(404, 503))
async def cancel_turns(request: web.Request) -> web.Response:
    """Cancel the turn that goes on in a session, and those that wait there."""
    session = await request.app[SESSIONS].get(request.match_info["id"])
    done: Cancelled = {"id": session.id, "cancelled": request.app[AGENT].cancel(session.id)}
    return reply(done)


def _key_of(request: web.Request) -> str | None:
    key = request.headers.get(_KEY)
    try:
        return None if key is None else fit_key(key)
    except ValueError as error:
        raise BadRequestError(f"The {_KEY} does not fit: it {error}") from error
