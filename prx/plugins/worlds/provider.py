"""The PRX `provider` world: language models that a plugin brings.

Its messages have a role and a text and nothing else. What else there is to say goes into the text as JSON, in the form
that the PRX ecosystem uses: `docs/plugins.md#providers`.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from prx.core.errors import ConflictError, UnavailableError
from prx.core.provider import (
    ChatAnswer,
    ChatMessage,
    ChatRequest,
    ProviderError,
    ProviderUnavailableError,
    ToolRequest,
)
from prx.core.tool import CallContext
from prx.plugins.abi.wit import ListType, OptionType, Prim, RecordType, ResultType
from prx.plugins.worlds.binding import Binding, Guest, Signature, to_json

INTERFACE = "prx:plugin/provider-exports"

_MESSAGE = RecordType((("role", Prim.STRING), ("content", Prim.STRING)))
_TOOL_CALL = RecordType((("id", Prim.STRING), ("name", Prim.STRING), ("arguments", Prim.STRING)))
_RESPONSE = RecordType((("text", OptionType(Prim.STRING)), ("tool-calls", ListType(_TOOL_CALL))))

NAME = Signature(result=Prim.STRING)
CHAT = Signature(
    [("messages", ListType(_MESSAGE)), ("model", Prim.STRING), ("temperature", Prim.F64)],
    ResultType(_RESPONSE, Prim.STRING),
)
SIGNATURES = {"name": NAME, "chat": CHAT}
# The world demands a number.
_USUAL_TEMPERATURE = 1.0


class PluginProvider:
    """One generation's `chat`; see `ChatProvider`. It does not stream: the text comes whole."""

    def __init__(self, name: str, guest: Guest, functions: Mapping[str, Binding]) -> None:
        """Ask `guest`, which calls itself `name`."""
        self.name = name
        self._guest = guest
        self._chat = functions["chat"]

    async def chat(
        self, request: ChatRequest, context: CallContext
    ) -> AsyncGenerator[str | ChatAnswer, None]:
        """See `ChatProvider.chat`."""
        temperature = _USUAL_TEMPERATURE if request.temperature is None else request.temperature
        asked = (list(_messages(request)), request.model, temperature)
        try:
            result = await self._guest.call(self._chat, asked, context)
        except UnavailableError as error:
            raise ProviderUnavailableError(
                f'provider "{self.name}": {error.message}', retry_after_secs=error.retry_after_secs
            ) from error
        except ConflictError as error:
            raise ProviderError(f'provider "{self.name}": {error.message}') from error
        if (failure := result.error) is not None:
            raise ProviderError(f'provider "{self.name}": {failure.message}', details={"code": failure.code})
        text = result.output["text"] or ""
        calls = [ToolRequest(**call) for call in result.output["tool_calls"]]
        if text:
            yield text
        yield ChatAnswer(text, calls, finish="tool_calls" if calls else "stop")


def _messages(request: ChatRequest) -> Iterator[dict[str, str]]:
    """Give the conversation in the world's form."""
    if request.system:
        yield _message("system", request.system)
    if request.tools:
        tools = [
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
            for tool in request.tools
        ]
        yield _message("system", to_json({"tools": tools}))
    for message in request.messages:
        yield _message(message.role, _content(message))


def _content(message: ChatMessage) -> str:
    if message.images:
        raise ProviderError("providers of plugins take text alone, and no images")
    if message.role == "tool":
        answer: dict[str, Any] = {"tool_call_id": message.tool_call_id, "content": message.content}
        return to_json(answer | ({"error": True} if message.failed else {}))
    if message.tool_calls:
        calls = [call._asdict() for call in message.tool_calls]
        return to_json({"content": message.content, "tool_calls": calls})
    return message.content


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
