"""What a plugin's provider makes of a gate that lets no call through, and of what its world cannot carry."""

from typing import Any

import pytest

from prx.core.errors import ConflictError, PrxError, UnavailableError
from prx.core.provider import ChatMessage, ChatRequest, Image, ProviderError, ProviderUnavailableError
from prx.core.tool import CallContext, ToolResult
from prx.plugins.inspect import Function
from prx.plugins.worlds.binding import Binding
from prx.plugins.worlds.provider import CHAT, PluginProvider

CHAT_EXPORT = Function("prx:plugin/provider-exports@0.1.0", "chat", CHAT.type)
REQUEST = ChatRequest([ChatMessage("user", "hi")], "large")


class Closed:
    """A gate that answers every call with one refusal."""

    def __init__(self, refusal: PrxError) -> None:
        self.refusal = refusal

    async def call(self, _binding: Binding, _arguments: Any, _context: CallContext) -> ToolResult:
        raise self.refusal


async def refusal_of(refusal: PrxError, request: ChatRequest = REQUEST) -> ProviderError:
    provider = PluginProvider("parrot", Closed(refusal), {"chat": CHAT.bind(CHAT_EXPORT)})
    with pytest.raises(ProviderError) as caught:
        await anext(provider.chat(request, CallContext()))
    return caught.value


async def test_a_busy_plugin_may_be_asked_again() -> None:
    error = await refusal_of(UnavailableError("too many calls wait for it", retry_after_secs=3))
    assert isinstance(error, ProviderUnavailableError)
    assert error.retry_after_secs == 3
    assert error.message == 'provider "parrot": too many calls wait for it'


async def test_a_plugin_out_of_service_is_not_asked_again() -> None:
    error = await refusal_of(ConflictError("it is in quarantine"))
    assert not isinstance(error, ProviderUnavailableError)
    assert error.message == 'provider "parrot": it is in quarantine'


async def test_images_are_not_left_out_in_silence() -> None:
    picture = ChatMessage("user", "what is this?", images=(Image("image/gif", "R0lGODlh"),))
    error = await refusal_of(ConflictError("not asked"), ChatRequest([picture], "large"))
    assert error.message == "providers of plugins take text alone, and no images"
