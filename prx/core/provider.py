"""Language models as the agent talks to them, whoever brings them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from prx.core.tool import CallContext


class ChatMessage(NamedTuple):
    """One message of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`."""
    content: str


class ToolRequest(NamedTuple):
    """A tool that the model wants called."""

    id: str
    name: str
    arguments: str
    """The arguments object as JSON text, as the model wrote it."""


class ChatResponse(NamedTuple):
    """What a model answered: text, tool calls or both."""

    text: str | None
    tool_calls: Sequence[ToolRequest]


class ChatProvider(Protocol):
    """A provider of language models."""

    @property
    def name(self) -> str:
        """What `[provider] name` selects it by."""

    async def chat(
        self, messages: Sequence[ChatMessage], model: str, temperature: float, context: CallContext
    ) -> ChatResponse:
        """Continue the conversation.

        Raises:
            CallFailedError: the provider gave no answer.
            ConflictError: its plugin is out of service.
            UnavailableError: too many calls wait for it already.
        """
