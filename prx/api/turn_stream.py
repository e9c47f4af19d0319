"""Messages as the API shows them, and turns as they go on."""

import json
from typing import Any

from prx.agent.feed import Feed, TurnEvent
from prx.api.answers.approvals import ShownApproval
from prx.api.answers.messages import (
    ShownAnswer,
    ShownCall,
    ShownError,
    ShownMessage,
    ShownPiece,
    ShownResult,
)
from prx.api.answers.sessions import UsedTokens
from prx.api.answers.tools import ToolError
from prx.api.bodies import encoded
from prx.api.sse import frame
from prx.core.ids import iso_utc
from prx.core.message import Answer as AnswerMessage
from prx.core.message import Approval, CalledTool, Failure, Message
from prx.core.provider import ToolRequest
from prx.core.session import TokenUsage


def shown_message(message: Message) -> ShownMessage | ShownAnswer:
    """Return any message."""
    if isinstance(message, AnswerMessage):
        return shown_answer(message)
    return _said(message)


def shown_answer(answer: AnswerMessage) -> ShownAnswer:
    """Return an answer."""
    return {
        **_said(answer),
        "reply_to": answer.reply_to,
        "tool_calls": [{**_called(call), **_came_of(call)} for call in answer.tool_calls],
        "usage": _used(answer.usage),
        "cost_usd": answer.cost_usd,
        "provider": answer.provider,
        "model": answer.model,
        "finish_reason": answer.finish,
        "error": None if answer.error is None else _why(answer.error),
    }


def shown_event(event: TurnEvent) -> Any:
    """Return what a listener is told of an event, as a JSON object."""
    match event.data:
        case str(text):
            return ShownPiece(text=text)
        case ToolRequest() as request:
            return _called(request)
        case Approval() as approval:
            return shown_approval(approval)
        case CalledTool() as call:
            return _came_of(call)
        case AnswerMessage(error=None) as answer:
            return shown_answer(answer)
        case AnswerMessage(error=Failure() as error) as answer:
            return ShownError(error=_why(error), message=shown_answer(answer))
        case Failure() as failure:
            return ShownError(error=_why(failure), message=None)


def shown_approval(approval: Approval) -> ShownApproval:
    """Return a call that waits for a decision."""
    return {"id": approval.id, "call": _called(approval.call), "expires_at": iso_utc(approval.expires_at)}


class TurnSource:
    """A turn's events from its start to its end; see `prx.api.sse.Source`."""

    def __init__(self, feed: Feed) -> None:
        """Tell what `feed` tells."""
        self._feed = feed
        self._told = 0

    async def next_frames(self) -> bytes | None:
        """See `Source.next_frames`."""
        events = await self._feed.after(self._told)
        if events is None:
            return None
        self._told += len(events)
        return b"".join(frame(event.name, encoded(shown_event(event))) for event in events)


def _said(message: Message) -> ShownMessage:
    return {
        "id": message.id,
        "session_id": message.session_id,
        "role": message.role,
        "content": message.content,
        "created_at": iso_utc(message.created_at),
    }


def _called(call: ToolRequest | CalledTool) -> ShownCall:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments
    return {"id": call.id, "name": call.name, "arguments": arguments}


def _came_of(call: CalledTool) -> ShownResult:
    return {
        "id": call.id,
        "name": call.name,
        "success": call.error is None,
        "output": call.output,
        "error": None if call.error is None else _why(call.error),
    }


def _why(failure: Failure) -> ToolError:
    return {"code": failure.code, "message": failure.message}


def _used(usage: TokenUsage) -> UsedTokens:
    return {"input": usage.input, "output": usage.output}
