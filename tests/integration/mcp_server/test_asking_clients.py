"""A tool that has a question gets its answer from the client that calls, where that can be asked."""

import asyncio
from typing import Any

import pytest
from mcp_types import CreateMessageResult, ElicitResult, ErrorData, ListRootsResult, TextContent

from prx.core.tool import CallContext, ToolFailure, ToolResult, ToolSpec
from prx.core.upstream import UpstreamError
from tests.integration.mcp_server.clients import NEWEST, Port
from tests.support.waiting import PATIENCE_SECS

QUESTIONS: dict[str, dict[str, Any]] = {
    "elicitation/create": {
        "message": "Who?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string", "default": "x"}}},
    },
    "sampling/createMessage": {
        "messages": [{"role": "user", "content": {"type": "text", "text": "Hi"}}],
        "maxTokens": 5,
    },
    "roots/list": {},
}


class Curious:
    """Asks its caller what its argument says, and gives back the answer."""

    spec = ToolSpec("curious", "Asks back", {"type": "object"}, "builtin")

    async def call(self, arguments: Any, context: CallContext) -> ToolResult:
        if context.ask is None:
            return ToolResult(error=ToolFailure("tool_error", "nobody to ask"))
        try:
            answer = await context.ask(arguments["method"], QUESTIONS.get(arguments["method"], {}))
        except UpstreamError as error:
            return ToolResult(error=ToolFailure("tool_error", f"{error.number}: {error.message}"))
        return ToolResult(output=dict(answer))


async def elicit(_context: Any, params: Any) -> ElicitResult:
    assert params.requested_schema["properties"]["name"]["default"] == "x"
    return ElicitResult(action="accept", content={"name": "Ada"})


async def sample(_context: Any, _params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(text="Hello"), model="m")


async def roots(_context: Any) -> ListRootsResult:
    return ListRootsResult(roots=[])


async def refuse(_context: Any, _params: Any) -> ErrorData:
    return ErrorData(code=-1, message="I do not want to")


async def asked(port: Port, method: str, mode: str = "legacy", **callbacks: Any) -> Any:
    with port.api.router.offering([Curious()]):
        async with asyncio.timeout(PATIENCE_SECS), port.client(mode, **callbacks) as client:
            return await client.call_tool("curious", {"method": method})


@pytest.mark.parametrize("mode", ["legacy", NEWEST])
@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_a_question_is_answered_by_the_client_that_calls(port: Port, mode: str) -> None:
    callbacks = {"elicitation_callback": elicit, "sampling_callback": sample, "list_roots_callback": roots}
    result = await asked(port, "elicitation/create", mode, **callbacks)
    assert result.structured_content == {"action": "accept", "content": {"name": "Ada"}}
    result = await asked(port, "sampling/createMessage", mode, **callbacks)
    assert result.structured_content["content"] == {"type": "text", "text": "Hello"}
    result = await asked(port, "roots/list", mode, **callbacks)
    assert result.structured_content == {"roots": []}


async def test_a_client_that_refuses_is_taken_at_its_word(port: Port) -> None:
    result = await asked(port, "elicitation/create", elicitation_callback=refuse)
    assert (result.is_error, result.content[0].text) == (True, "-1: I do not want to")


@pytest.mark.parametrize("mode", ["legacy", NEWEST])
@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("sampling/createMessage", "the client of this call does not offer sampling"),
        ("secrets/list", "a client is not asked for secrets/list"),
    ],
)
async def test_a_client_is_not_asked_for_what_it_does_not_offer(
    port: Port, method: str, reason: str, mode: str
) -> None:
    result = await asked(port, method, mode, elicitation_callback=elicit)
    assert (result.is_error, result.content[0].text) == (True, f"-32600: {reason}")
