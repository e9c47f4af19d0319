"""Messages of sessions: sending one, and the transcript."""

import re
from typing import Annotated, Final

from aiohttp import hdrs, web
from pydantic import AfterValidator, Field

from prx.api.answers.messages import (
    ShownAnswer,
    ShownCall,
    ShownError,
    ShownPiece,
    ShownResult,
    Transcript,
)
from prx.api.bodies import Body, PageLimit, Parameters, WholeNumber, reply
from prx.api.contract import Header
from prx.api.deps import AGENT, REQUEST_ID, STREAMS
from prx.api.routes import Routes
from prx.api.turn_stream import TurnSource, shown_answer, shown_message
from prx.core.errors import BadRequestError
from prx.core.message import MAX_CONTENT_BYTES, MAX_KEY_CHARS

routes = Routes()

_KEY: Final = "Idempotency-Key"
_FIT_KEY: Final = rf"^[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}$"


def fit_content(content: str) -> str:
    """Return a message's text if it may be one.

    Raises:
        ValueError: it is blank or too long.
    """
    if not content.strip():
        raise ValueError("there is nothing in it but blanks")
    size = len(content.encode())
    if size > MAX_CONTENT_BYTES:
        raise ValueError(f"has at most {MAX_CONTENT_BYTES} bytes, this one has {size}")
    return content


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
            "Makes it safe to send the message again: it is there once, and so is its answer.", _FIT_KEY
        )
    },
    answer=ShownAnswer,
    streams={
        "token": ShownPiece,
        "tool_call": ShownCall,
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


def _key_of(request: web.Request) -> str | None:
    key = request.headers.get(_KEY)
    if key is not None and not re.fullmatch(_FIT_KEY, key):
        raise BadRequestError(
            f"The {_KEY} does not fit: it has 1 to {MAX_KEY_CHARS} printable ASCII characters without blanks"
        )
    return key
