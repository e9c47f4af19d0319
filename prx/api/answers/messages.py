"""Messages of sessions, and what is told of a turn as it goes on."""

from typing import Any

from prx.api.answers.sessions import UsedTokens
from prx.api.answers.tools import ToolError
from prx.api.bodies import Answer, Moment
from prx.core.message import MessageRole


class ShownCall(Answer):
    """A tool that the model has called."""

    id: str
    name: str
    arguments: Any
    """As the model wrote them: an object, or a text where it did not get that right."""


class ShownResult(Answer):
    """What came of a call."""

    id: str
    name: str
    success: bool
    output: Any
    """Text for PRX tools, a JSON value for plain components."""
    error: ToolError | None


class ShownToolCall(ShownCall):
    """A call with what came of it."""

    success: bool
    output: Any
    error: ToolError | None


class ShownMessage(Answer):
    """What a user said."""

    id: str
    session_id: str
    role: MessageRole
    content: str
    created_at: Moment


class ShownAnswer(ShownMessage):
    """What the agent answered; with an `error`, what came of the turn until then."""

    reply_to: str
    """The user's message."""
    tool_calls: list[ShownToolCall]
    """In the order in which the model asked for them."""
    usage: UsedTokens
    cost_usd: float | None
    """Null where the price is not known."""
    provider: str
    """Who answered; empty where the turn did not come to that, as is `model`."""
    model: str
    finish_reason: str
    """`stop`, `length`, `refused` or `other`."""
    error: ToolError | None


class ShownPiece(Answer):
    """A piece of the answer's text."""

    text: str


class ShownError(Answer):
    """Why there is no answer, and the message that tells of it where that could be kept."""

    error: ToolError
    message: ShownAnswer | None


class Transcript(Answer):
    """A page of messages, the oldest first."""

    messages: list[ShownMessage | ShownAnswer]
    total: int
    """How many the session has, on this page or not."""


class Cancelled(Answer):
    """What became of a session's turns."""

    id: str
    cancelled: bool
    """Whether there was a turn to cancel."""
