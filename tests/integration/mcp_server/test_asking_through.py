"""What a server asks goes by way of the daemon to the client that calls, whichever era of MCP either of them speaks."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp import MCPError
from mcp_types import CreateMessageResult, ElicitResult, ErrorData, ListRootsResult, TextContent

from tests.integration.mcp.test_asking_servers import asking
from tests.integration.mcp_server.clients import ENVELOPE, NEWEST, Port, Wire
from tests.integration.mcp_server.conftest import MakePort
from tests.support.mcp_host import McpHost, mcp_host
from tests.support.waiting import eventually

# Sampling and roots are on their way out.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

MODES = ["legacy", NEWEST]
CAN_ELICIT = {"elicitation": {"form": {}}}
ADA = {"action": "accept", "content": {"name": "Ada"}}


class Through(NamedTuple):
    port: Port
    host: McpHost


@pytest.fixture(params=[0.5, 0.0], ids=["lean path", "the SDK alone"])
async def through(
    request: pytest.FixtureRequest, make_port: MakePort, tmp_path: Path
) -> AsyncIterator[Through]:
    """A port in front of a server that speaks the newest version alone, and of one that is asked for an older one."""
    home = tmp_path / "servers"
    home.mkdir()
    servers = {
        "new": asking("newest", ask_clients=True, tool_name_prefix=""),
        "old": asking(handshake="legacy", ask_clients=True),
    }
    async with mcp_host(home, servers) as host:
        for name in servers:
            await host.until("connected", name, within_secs=60)
        port = await make_port(upstreams=host.servers, quick_secs=request.param)
        with port.api.router.offering([_Passed(host, spec) for spec in host.router.specs()]):
            yield Through(port, host)


class _Passed:
    """A tool of the host's router in the port's, which are one in a daemon."""

    def __init__(self, host: McpHost, spec: Any) -> None:
        self.spec = spec
        self._host = host

    async def call(self, arguments: Any, context: Any) -> Any:
        return await self._host.router.call(self.spec.name, arguments, context)


async def elicit(_context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": f"Ada, who was asked {params.message}"})


async def sample(_context: Any, _params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(text="Hello"), model="m")


async def roots(_context: Any) -> ListRootsResult:
    return ListRootsResult(roots=[])


async def refuse(_context: Any, _params: Any) -> ErrorData:
    return ErrorData(code=-1, message="I do not want to")


EVERYTHING: dict[str, Any] = {
    "elicitation_callback": elicit,
    "sampling_callback": sample,
    "list_roots_callback": roots,
}


@pytest.mark.parametrize("tool", ["ask", "mcp__old__ask"])
@pytest.mark.parametrize("mode", MODES)
async def test_all_that_a_tool_asks_is_answered(through: Through, mode: str, tool: str) -> None:
    what = ["elicitation/create", "sampling/createMessage", "roots/list"]
    async with asyncio.timeout(60), through.port.client(mode, **EVERYTHING) as client:
        result = await client.call_tool(tool, {"what": what})
        assert not result.is_error, result.content
        found = json.loads(result.content[0].text)["answers"]  # type: ignore[union-attr]
    assert found["elicitation/create"]["content"] == {"name": "Ada, who was asked Who?"}
    assert found["sampling/createMessage"]["content"]["text"] == "Hello"
    assert found["roots/list"] == {"roots": []}
    assert through.port.waiting_rounds == 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_prompt_and_a_resource_may_ask_as_well(through: Through, mode: str) -> None:
    async with asyncio.timeout(60), through.port.client(mode, **EVERYTHING) as client:
        for name in ("greet", "mcp__old__greet"):
            got = await client.get_prompt(name)
            assert "Ada, who was asked" in got.messages[0].content.text  # type: ignore[union-attr]
        [read] = (await client.read_resource("memo://1")).contents
        assert json.loads(read.text) == {"roots/list": {"roots": []}}  # type: ignore[union-attr]


@pytest.mark.parametrize("tool", ["ask", "mcp__old__ask"])
@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_cannot_be_asked_is_not(through: Through, mode: str, tool: str) -> None:
    async with asyncio.timeout(60), through.port.client(mode, sampling_callback=sample) as client:
        result = await client.call_tool(tool, {"what": ["roots/list"]})
        assert result.is_error
        assert "nobody who calls could answer" in result.content[0].text  # type: ignore[union-attr]


async def test_a_client_of_an_older_version_that_refuses_is_taken_at_its_word(through: Through) -> None:
    async with asyncio.timeout(60), through.port.client("legacy", elicitation_callback=refuse) as client:
        for tool in ("ask", "mcp__old__ask"):
            result = await client.call_tool(tool, {"what": ["elicitation/create"]})
            assert result.is_error
            assert "I do not want to" in result.content[0].text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="I do not want to"):
            await client.get_prompt("greet")


def call(arguments: Any, **rounds: Any) -> dict[str, Any]:
    meta = {"io.modelcontextprotocol/clientCapabilities": CAN_ELICIT}
    return {"name": "ask", "arguments": arguments, "_meta": {**ENVELOPE, **meta}, **rounds}


async def first_round(wire: Wire) -> tuple[str, str]:
    """Return the state of a call that waits, and the name of its question."""
    asked = (await wire.ask("tools/call", call({"what": ["elicitation/create"]})))["result"]
    assert asked["resultType"] == "input_required"
    [(name, question)] = asked["inputRequests"].items()
    assert question["method"] == "elicitation/create"
    assert question["params"]["message"] == "Who?"
    return asked["requestState"], name


async def test_a_state_is_of_use_once_and_to_whom_it_was_given_for_the_same_call(through: Through) -> None:
    wire = await through.port.wire(NEWEST)
    state, name = await first_round(wire)
    assert through.port.waiting_rounds == 1
    answered = {"requestState": state, "inputResponses": {name: ADA}}
    secret, _ = through.port.api.tokens.create("other", scopes=["tools:read", "tools:write"])
    other = await through.port.wire(NEWEST, token=secret)
    what = {"what": ["elicitation/create"]}
    for who, arguments, given in (
        (other, what, answered),
        (wire, {"what": ["roots/list"]}, answered),
        (wire, what, answered | {"requestState": "guessed"}),
    ):
        refusal = await who.ask("tools/call", call(arguments, **given))
        assert refusal["error"]["code"] == -32602
        assert "nothing waits under this requestState" in refusal["error"]["message"]
    done = await wire.ask("tools/call", call(what, **answered))
    assert json.loads(done["result"]["content"][0]["text"])["answers"] == {"elicitation/create": ADA}
    assert through.port.waiting_rounds == 0
    again = await wire.ask("tools/call", call(what, **answered))
    assert again["error"]["code"] == -32602


async def test_a_question_without_an_answer_is_asked_again(through: Through) -> None:
    wire = await through.port.wire(NEWEST)
    state, name = await first_round(wire)
    what = {"what": ["elicitation/create"]}
    asked = (await wire.ask("tools/call", call(what, requestState=state)))["result"]
    assert list(asked["inputRequests"]) == [name]
    unknown = {"requestState": asked["requestState"], "inputResponses": {"other": ADA}}
    asked = (await wire.ask("tools/call", call(what, **unknown)))["result"]
    assert list(asked["inputRequests"]) == [name]
    wrong = {"requestState": asked["requestState"], "inputResponses": {name: {"roots": []}}}
    refusal = await wire.ask("tools/call", call(what, **wrong))
    assert refusal["error"]["message"] == f"inputResponses.{name} does not answer elicitation/create"
    right = wrong | {"inputResponses": {name: ADA}}
    assert "result" in await wire.ask("tools/call", call(what, **right))


async def test_calls_whose_clients_do_not_come_back_end_with_the_daemon(through: Through) -> None:
    wire = await through.port.wire(NEWEST)
    for _ in range(3):
        await first_round(wire)
    assert through.port.waiting_rounds == 3


async def test_a_call_whose_client_does_not_come_back_is_given_up(through: Through) -> None:
    wire = await through.port.wire(NEWEST)
    await wire.ask("tools/list")
    through.port.rounds._patience_secs = 0.05
    state, name = await first_round(wire)
    await eventually(lambda: through.port.waiting_rounds == 0)
    given = {"requestState": state, "inputResponses": {name: ADA}}
    refusal = await wire.ask("tools/call", call({"what": ["elicitation/create"]}, **given))
    assert refusal["error"]["code"] == -32602


async def test_a_token_has_so_many_calls_that_wait_and_further_questions_are_refused(
    through: Through,
) -> None:
    wire = await through.port.wire(NEWEST)
    await first_round(wire)
    through.port.rounds._max_per_token = 1
    refused = (await wire.ask("tools/call", call({"what": ["elicitation/create"]})))["result"]
    assert refused["isError"]
    assert "too many calls wait" in refused["content"][0]["text"]
