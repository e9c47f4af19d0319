"""The PRX `provider` world: language models that a plugin brings."""

from collections.abc import Mapping, Sequence

from prx.core.errors import CallFailedError
from prx.core.provider import ChatMessage, ChatResponse, ToolRequest
from prx.core.tool import CallContext
from prx.plugins.abi.wit import ListType, OptionType, Prim, RecordType, ResultType
from prx.plugins.worlds.binding import Binding, Guest, Signature

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


class PluginProvider:
    """One generation's `chat`; see `ChatProvider`."""

    def __init__(self, name: str, guest: Guest, functions: Mapping[str, Binding]) -> None:
        """Ask `guest`, which calls itself `name`."""
        self.name = name
        self._guest = guest
        self._chat = functions["chat"]

    async def chat(
        self, messages: Sequence[ChatMessage], model: str, temperature: float, context: CallContext
    ) -> ChatResponse:
        """See `ChatProvider.chat`."""
        asked = ([message._asdict() for message in messages], model, temperature)
        result = await self._guest.call(self._chat, asked, context)
        if (failure := result.error) is not None:
            raise CallFailedError(
                f'provider "{self.name}": {failure.message}', details={"code": failure.code}
            )
        answer = result.output
        return ChatResponse(answer["text"], [ToolRequest(**call) for call in answer["tool_calls"]])
