"""Conversations in the words of the client library, and its answers in ours. Imports the library."""

import json
from base64 import b64decode
from collections.abc import Container, Mapping, Sequence
from decimal import Decimal
from typing import Final

from pydantic import ValidationError
from pydantic_ai.messages import (
    BinaryContent,
    InstructionPart,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import (
    FinishReason as LibraryFinishReason,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from prx.core.provider import ChatAnswer, ChatMessage, ChatRequest, FinishReason, ToolRequest
from prx.core.session import TokenUsage
from prx.core.tool import ToolSpec

_OPAQUE: Final = "pydantic-ai:"
"""Before what only the library understands: another provider's is not taken for it."""
_REFUSED_AT_TOP: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "enum", "const", "if", "then", "else"})
_MAX_OPAQUE_CHARS: Final = 1024 * 1024
_FINISHES: Final[Mapping[LibraryFinishReason | None, FinishReason]] = {
    "stop": "stop",
    "tool_call": "tool_calls",
    "length": "length",
    "content_filter": "refused",
}


def to_messages(messages: Sequence[ChatMessage]) -> list[ModelMessage]:
    """Return a conversation as the library has it: a request and a response in turn."""
    conversation: list[ModelMessage] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "assistant":
            names.update((call.id, call.name) for call in message.tool_calls)
            conversation.append(_response(message))
            continue
        part = _request_part(message, names)
        last = conversation[-1] if conversation else None
        if isinstance(last, ModelRequest):
            last.parts = [*last.parts, part]
        else:
            conversation.append(ModelRequest(parts=[part]))
    return conversation


def to_parameters(request: ChatRequest) -> ModelRequestParameters:
    """Return what a request offers to the model and tells it."""
    return ModelRequestParameters(
        function_tools=[_tool(tool) for tool in request.tools],
        instruction_parts=[InstructionPart(content=request.system)] if request.system else None,
    )


def to_settings(request: ChatRequest, ignored: Container[str] = ()) -> ModelSettings:
    """Return how a request wants to be answered, without what the model would ignore."""
    # An agent sends the same beginning again and again: where caching it has to be asked for, it is.
    settings = ModelSettings(cache=True)
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    if request.stop and "stop_sequences" not in ignored:
        settings["stop_sequences"] = list(request.stop)
    return settings


def to_answer(response: ModelResponse, provider: str) -> ChatAnswer:
    """Return what a model answered, with what it cost."""
    calls = [_tool_request(part) for part in response.parts if isinstance(part, ToolCallPart)]
    usage = response.usage
    return ChatAnswer(
        text=_text_of(response),
        tool_calls=calls,
        usage=TokenUsage(usage.input_tokens, usage.output_tokens),
        finish="tool_calls" if calls else _FINISHES.get(response.finish_reason, "other"),
        provider=provider,
        model=response.model_name or "",
        cost_usd=_cost_of(response),
        cached_tokens=usage.cache_read_tokens,
        opaque=_opaque_of(response),
    )


def _tool(tool: ToolSpec) -> ToolDefinition:
    """Return a tool whose schema no provider refuses, and with it the whole request.

    They want an object, and nothing beside its properties that says which objects: the description tells that instead.
    Arguments are checked against the real schema in any case.
    """
    schema = {key: value for key, value in tool.parameters.items() if key not in _REFUSED_AT_TOP}
    left_out = {key: tool.parameters[key] for key in _REFUSED_AT_TOP & tool.parameters.keys()}
    told = (
        f"\n\nThe arguments have to match this JSON Schema, too: {json.dumps(left_out)}" if left_out else ""
    )
    return ToolDefinition(
        name=tool.name,
        description=tool.description + told,
        parameters_json_schema={"properties": {}, **schema, "type": "object"},
    )


def _response(message: ChatMessage) -> ModelResponse:
    kept = _kept_response(message)
    if kept is not None:
        return kept
    parts: list[ModelResponsePart] = [TextPart(message.content)] if message.content else []
    parts += [ToolCallPart(call.name, call.arguments, call.id) for call in message.tool_calls]
    return ModelResponse(parts=parts)


def _kept_response(message: ChatMessage) -> ModelResponse | None:
    """Return the response that `opaque` holds, where it still says the same as the message."""
    if message.opaque is None or not message.opaque.startswith(_OPAQUE):
        return None
    try:
        found = ModelMessagesTypeAdapter.validate_json(message.opaque.removeprefix(_OPAQUE))
    except ValidationError:  # of a version that wrote it differently
        return None
    response = found[0] if found else None
    if not isinstance(response, ModelResponse) or _text_of(response) != message.content:
        return None
    calls = [_tool_request(part) for part in response.parts if isinstance(part, ToolCallPart)]
    return response if calls == list(message.tool_calls) else None


def _request_part(message: ChatMessage, names: Mapping[str, str]) -> ModelRequestPart:
    if message.role == "user":
        images = [
            BinaryContent(b64decode(image.data), media_type=image.media_type) for image in message.images
        ]
        return UserPromptPart([*images, message.content] if images else message.content)
    call = message.tool_call_id or ""
    return ToolReturnPart(
        names.get(call, "unknown"), message.content, call, outcome="failed" if message.failed else "success"
    )


def _tool_request(part: ToolCallPart) -> ToolRequest:
    # As the model wrote it, where that is known: a caller has to see what is no JSON.
    arguments = part.args if isinstance(part.args, str) else part.args_as_json_str()
    return ToolRequest(part.tool_call_id, part.tool_name, arguments or "{}")


def _text_of(response: ModelResponse) -> str:
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def _opaque_of(response: ModelResponse) -> str | None:
    if all(_is_plain(part) for part in response.parts):
        return None
    opaque = _OPAQUE + ModelMessagesTypeAdapter.dump_json([response]).decode()
    # Thoughts help the next answer, but it does without them.
    return opaque if len(opaque) <= _MAX_OPAQUE_CHARS else None


def _is_plain(part: ModelResponsePart) -> bool:
    """Tell whether text, name and arguments are all there is to a part."""
    return isinstance(part, TextPart | ToolCallPart) and not (part.id or part.provider_details)


def _cost_of(response: ModelResponse) -> float | None:
    """Return the price where the list of prices that comes with the library has it."""
    cost: Decimal | None = response.usage.cost
    if cost is None and response.model_name:
        try:
            cost = response.cost().total_price
        except (LookupError, ValueError):  # an unknown model; a provider that told no usage
            return None
    return None if cost is None else float(cost)
