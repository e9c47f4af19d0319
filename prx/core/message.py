"""Messages of sessions, as everybody sees them: what a user said, and what the agent answered after which work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from prx.core.file import File
from prx.core.provider import ToolRequest
from prx.core.session import TokenUsage

MAX_CONTENT_BYTES: Final = 256 * 1024
"""Of a user's message in UTF-8."""
MAX_KEY_CHARS: Final = 255
"""Of an idempotency key."""

MessageRole = Literal["user", "assistant"]


class Failure(NamedTuple):
    """Why something did not succeed; `code` is stable, `message` is for people."""

    code: str
    message: str


class CalledTool(NamedTuple):
    """A tool that the model had called, and what came of it."""

    id: str
    name: str
    arguments: str
    """The arguments as the model wrote them: JSON text, if it got that right."""
    output: Any = None
    """A JSON value; None where there is an error."""
    error: Failure | None = None


class Round(NamedTuple):
    """One answer of the model that was not the last one of its turn: it waited for tools."""

    text: str
    calls: Sequence[CalledTool]
    opaque: str | None = None
    """See `prx.core.provider.ChatAnswer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a user said."""

    id: str
    session_id: str
    role: MessageRole = "user"
    content: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Message):
    """What came of a user's message: with an `error`, as far as it came."""

    role: MessageRole = "assistant"
    reply_to: str
    """The user's message."""
    rounds: Sequence[Round] = ()
    usage: TokenUsage
    provider: str
    """Who answered, and with which `model`; both empty where the turn did not come to that."""
    model: str
    finish: str = "stop"
    """See `prx.core.provider.FinishReason`."""
    error: Failure | None = None
    opaque: str | None = None
    cost_usd: float | None = None
    files: Sequence[File] = ()
    """What tools gave back for the user. Whoever follows the turn has it; the transcript does not keep it."""
    files_left_out: Sequence[str] = ()
    """The names of such that were too many or too large, each with the reason; kept as little."""

    @property
    def tool_calls(self) -> Sequence[CalledTool]:
        """What was called, in the order in which the model asked for it."""
        return [call for each in self.rounds for call in each.calls]


@dataclass(frozen=True, slots=True)
class Approval:
    """A call of a tool that waits for somebody to allow it."""

    id: str
    session_id: str
    call: ToolRequest
    expires_at: datetime
    """When it is denied, unless somebody decides before."""


class MessagePage(NamedTuple):
    """A part of a transcript, the oldest first."""

    messages: Sequence[Message]
    total: int
    """How many messages the session has, on this page or not."""
