"""Language models as the agent talks to them, whoever brings them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, NamedTuple, Protocol

from prx.core.errors import PrxError
from prx.core.session import TokenUsage
from prx.core.tool import CallContext, ToolSpec

FinishReason = Literal["stop", "tool_calls", "length", "refused", "other"]
"""Why a model ended: it was done, it waits for tools, it ran into its limit of tokens, it will not say more."""

_NOTHING_USED: Final = TokenUsage()


class ToolRequest(NamedTuple):
    """A tool that the model wants called."""

    id: str
    """The model's own name for this call; its result comes back under it."""
    name: str
    arguments: str
    """The arguments object as JSON text, as the model wrote it: it may be no JSON at all."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that a model is shown."""

    media_type: str
    """`image/png` and the like."""
    data: str
    """In base64."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation."""

    role: Literal["user", "assistant", "tool"]
    content: str
    """The text; of a `tool`, what the call gave back, or why it failed."""
    tool_calls: Sequence[ToolRequest] = ()
    """What an `assistant` asked for: each is answered by a `tool` message before anything else is said."""
    tool_call_id: str | None = None
    """Of a `tool`: the request that it answers."""
    failed: bool = False
    """Of a `tool`: whether the call did not succeed."""
    opaque: str | None = None
    """Of an `assistant`: see `ChatAnswer.opaque`."""
    images: Sequence[Image] = ()
    """Of a `user`, for providers that take them."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a model is asked for: the next message of a conversation."""

    messages: Sequence[ChatMessage]
    """From the oldest on; the first is a user's, and so is the last, or it is a tool's."""
    model: str
    """By the provider's own name."""
    system: str = ""
    """What the model is told before the conversation."""
    tools: Sequence[ToolSpec] = ()
    """What it may ask for; name, description and parameters are the model's to see."""
    temperature: float | None = None
    """None leaves it to the provider, as for `max_tokens`."""
    max_tokens: int | None = None
    """Of the answer."""
    stop: Sequence[str] = ()
    """Texts at which the answer may end, where the provider can do that."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What a model answered: text, tool calls or both."""

    text: str
    tool_calls: Sequence[ToolRequest] = ()
    usage: TokenUsage = _NOTHING_USED
    finish: FinishReason = "stop"
    provider: str = ""
    """Who answered in the end, where that may be another than was asked, with `model`; empty where it is not."""
    model: str = ""
    cost_usd: float | None = None
    """What the answer cost in US dollars, where the price is known."""
    cached_tokens: int = 0
    """How many of `usage.input` the provider had kept from earlier requests, which makes them cheap."""
    opaque: str | None = None
    """What only the provider understands, such as signed thoughts; it is kept with the message and given back."""


class ProviderError(PrxError):
    """The model gave no answer. Asking again as it is would not help; another provider might."""

    code = "provider_error"
    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later."""


class ProviderUnavailableError(ProviderError):
    """The model gave no answer this time: it is overloaded, limits the rate, or cannot be reached."""

    code = "provider_unavailable"
    retryable = True

    def __init__(self, message: str, *, retry_after_secs: float | None = None) -> None:
        """Say when it may be asked again, where the provider said so."""
        super().__init__(message)
        self.retry_after_secs = retry_after_secs


class ConversationTooLongError(ProviderError):
    """The model takes no conversation of this length; a shorter one may be answered."""

    code = "conversation_too_long"


class ProviderConfigurationError(ProviderError):
    """The provider cannot be used before somebody configures it; the message says what to set."""

    code = "needs_configuration"


class ChatProvider(Protocol):
    """A provider of language models."""

    @property
    def name(self) -> str:
        """What `[provider] name` selects it by."""

    def chat(self, request: ChatRequest, context: CallContext) -> AsyncGenerator[str | ChatAnswer, None]:
        """Yield the answer's text in pieces as they come, where the provider streams, then the answer, once and last.

        Closing the generator, or cancelling who waits for it, ends the request to the model. It tries again by itself
        only before the first piece.

        Raises:
            ProviderError: there is no answer; what kind of failure it is says whether to ask again.
        """
