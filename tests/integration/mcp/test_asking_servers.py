"""What servers ask of the daemon: answered by their own table or by the client that calls, in both eras of MCP."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prx.config.integrations import McpServerConfig
from prx.core.tool import ToolResult
from prx.core.upstream import UpstreamError
from tests.support.mcp_host import McpHost, mcp_host

SCRIPT = Path(__file__).parents[2] / "components/mcp/asking.py"
NEWEST = "2026-07-28"
LEGACY = "2025-11-25"
ERAS = [pytest.param("auto", NEWEST, id=NEWEST), pytest.param("legacy", LEGACY, id=LEGACY)]


def asking(*arguments: str, **config: Any) -> McpServerConfig:
    return McpServerConfig.model_validate(
        {"command": sys.executable, "args": [str(SCRIPT), *arguments], "startup_timeout_ms": 60_000, **config}
    )


class Person:
    """A client that can be asked, and answers what it is told to."""

    def __init__(self, answers: Mapping[str, Any], **capabilities: Any) -> None:
        self.capabilities = capabilities
        self.asked: list[str] = []
        self._answers = answers

    async def __call__(self, method: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(method)
        answer = self._answers[method]
        if isinstance(answer, Exception):
            raise answer
        found: Mapping[str, Any] = answer
        return found


ADA = {"action": "accept", "content": {"name": "Ada"}}


def ada(**capabilities: Any) -> Person:
    return Person({"elicitation/create": ADA}, **(capabilities or {"elicitation": {"form": {}}}))


def half() -> Person:
    """Return one who writes half of a surrogate pair, as some programs do."""
    return Person(
        {"elicitation/create": {"action": "accept", "content": {"name": "x\ud800"}}}, elicitation={"form": {}}
    )


CUT = {"action": "accept", "content": {"name": "x?"}}


async def ask(host: McpHost, *what: str, by: Person | None = None, **more: Any) -> ToolResult:
    async with asyncio.timeout(60):
        return await host.call("ask", {"what": what, **more}, ask=by)


def answers(result: ToolResult) -> Any:
    assert result.error is None, result.error
    return json.loads(result.output)["answers"]


@pytest.mark.parametrize(("handshake", "version"), ERAS)
async def test_a_server_is_told_the_directories_of_its_table_whoever_calls(
    tmp_path: Path, handshake: str, version: str
) -> None:
    async with mcp_host(tmp_path, {"one": asking(handshake=handshake, roots=["/srv/two words"])}) as host:
        assert (await host.until("connected", within_secs=60)).protocol_version == version
        assert answers(await ask(host, "roots/list")) == {
            "roots/list": {"roots": [{"uri": "file:///srv/two%20words", "name": "two words"}]}
        }
        assert json.loads(await host.output("can")).keys() == {"roots"}


@pytest.mark.parametrize(("handshake", "version"), ERAS)
async def test_the_client_that_calls_is_asked(tmp_path: Path, handshake: str, version: str) -> None:
    config = asking(handshake=handshake, ask_clients=True, roots=["/srv"])
    async with mcp_host(tmp_path, {"one": config}) as host:
        assert (await host.until("connected", within_secs=60)).protocol_version == version
        person = ada()
        found = answers(await ask(host, "elicitation/create", "roots/list", by=person))
        assert found["elicitation/create"] == ADA
        assert found["roots/list"]["roots"][0]["uri"] == "file:///srv"
        assert person.asked == ["elicitation/create"]


@pytest.mark.parametrize(("handshake", "version"), ERAS)
async def test_what_is_no_unicode_is_replaced_and_costs_nobody_the_connection(
    tmp_path: Path, handshake: str, version: str
) -> None:
    async with mcp_host(tmp_path, {"one": asking(handshake=handshake, ask_clients=True)}) as host:
        assert (await host.until("connected", within_secs=60)).protocol_version == version
        assert answers(await ask(host, "elicitation/create", by=half())) == {"elicitation/create": CUT}
        assert (await host.call("can", {"more": "\ud800"})).error is None
        assert host.view().restarts == 0


async def test_a_server_that_knows_no_templates_lists_none(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking()}) as host:
        await host.until("connected", within_secs=60)
        (server,) = host.servers.connected()
        assert len(await server.items("resources")) == 2
        assert await server.items("resourceTemplates") == []


async def test_a_server_that_speaks_the_newest_version_alone_is_connected_and_answered(
    tmp_path: Path,
) -> None:
    config = asking("newest", ask_clients=True, roots=["/srv"])
    async with mcp_host(tmp_path, {"one": config}) as host:
        assert (await host.until("connected", within_secs=60)).protocol_version == NEWEST
        assert answers(await ask(host, "elicitation/create", by=ada())) == {"elicitation/create": ADA}


@pytest.mark.parametrize(("handshake", "version"), ERAS)
async def test_a_server_over_http_is_answered_as_well(
    tmp_path: Path, port: int, handshake: str, version: str
) -> None:
    url = f"http://127.0.0.1:{port}/mcp"
    config = McpServerConfig.model_validate(
        {"url": url, "handshake": handshake, "ask_clients": True, "roots": ["/srv"]}
    )
    server = await asyncio.create_subprocess_exec(sys.executable, SCRIPT, "http", str(port))
    try:
        async with mcp_host(tmp_path, {"one": config}) as host:
            assert (await host.until("connected", within_secs=60)).protocol_version == version
            assert answers(await ask(host, "elicitation/create", by=half())) == {"elicitation/create": CUT}
            found = answers(await ask(host, "elicitation/create", "roots/list", by=ada()))
            assert found["elicitation/create"] == ADA
            assert found["roots/list"]["roots"][0]["uri"] == "file:///srv"
    finally:
        server.kill()
        await server.wait()


async def test_calls_that_run_at_the_same_time_have_each_their_own_client_asked(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking(ask_clients=True)}) as host:
        await host.until("connected", within_secs=60)
        names = [f"person {number}" for number in range(8)]
        people = [
            Person({"elicitation/create": {"action": "accept", "content": {"name": name}}}, elicitation={})
            for name in names
        ]
        found = await asyncio.gather(*(ask(host, "elicitation/create", by=person) for person in people))
        assert [answers(each)["elicitation/create"]["content"]["name"] for each in found] == names


async def test_a_server_is_told_for_each_call_what_it_may_ask(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking(ask_clients=True)}) as host:
        await host.until("connected", within_secs=60)
        assert json.loads(await host.output("can")) == {}
        result = await host.call("can", {}, ask=ada(elicitation={"url": {}}, sampling={}))
        assert json.loads(result.output) == {"elicitation": {"url": {}}, "sampling": {}}


async def test_in_the_newest_version_a_call_fails_where_nobody_could_answer(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking(ask_clients=True)}) as host:
        await host.until("connected", within_secs=60)
        form = {"mode": "url", "url": "https://h", "elicitationId": "1", "message": "Log in"}
        for by, more in (
            (None, {}),
            (ada(sampling={}), {}),
            (ada(), {"params": {"elicitation/create": form}}),
        ):
            result = await ask(host, "elicitation/create", by=by, **more)
            assert result.error is not None
            assert result.error.code == "input_required"
            assert "nobody who calls could answer" in result.error.message


async def test_in_older_versions_input_that_nobody_can_give_is_declined(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking(handshake="legacy", ask_clients=True)}) as host:
        await host.until("connected", within_secs=60)
        assert answers(await ask(host, "elicitation/create")) == {"elicitation/create": {"action": "decline"}}
        result = await ask(host, "sampling/createMessage")
        assert result.error is not None
        assert result.error.message.startswith("-32600: it asks for sampling/createMessage, and nobody")


@pytest.mark.parametrize(("handshake", "code"), [("auto", "tool_error"), ("legacy", "tool_error")])
async def test_a_client_that_refuses_is_taken_at_its_word(tmp_path: Path, handshake: str, code: str) -> None:
    person = Person({"elicitation/create": UpstreamError("I do not want to", -1)}, elicitation={})
    async with mcp_host(tmp_path, {"one": asking(handshake=handshake, ask_clients=True)}) as host:
        await host.until("connected", within_secs=60)
        result = await ask(host, "elicitation/create", by=person)
        assert result.error is not None
        assert result.error.code == code
        assert "I do not want to" in result.error.message


async def test_a_server_without_permission_to_ask_clients_is_not_answered(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking()}) as host:
        await host.until("connected", within_secs=60)
        person = ada()
        result = await ask(host, "elicitation/create", by=person)
        assert result.error is not None
        assert (result.error.code, person.asked) == ("input_required", [])


async def test_a_server_that_only_wants_to_be_asked_again_is_until_it_is_done(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking(roots=["/srv"])}) as host:
        await host.until("connected", within_secs=60)
        assert await host.output("patient") == "after 3 rounds"


async def test_a_server_that_asks_without_end_is_given_up(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": asking(roots=["/srv"])}) as host:
        await host.until("connected", within_secs=60)
        result = await host.call("endless")
        assert result.error is not None
        assert result.error.message == "it has asked 10 times, and asks again"


async def test_a_call_that_waits_for_its_client_does_not_run_out_of_time(tmp_path: Path) -> None:
    class Slow(Person):
        async def __call__(self, method: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
            started = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() < started + 2.0:  # noqa: ASYNC110 - a slow person
                await asyncio.sleep(0.05)
            return await super().__call__(method, _params)

    config = asking(handshake="legacy", ask_clients=True, request_timeout_ms=1500)
    async with mcp_host(tmp_path, {"one": config}) as host:
        await host.until("connected", within_secs=60)
        person = Slow({"elicitation/create": ADA}, elicitation={})
        assert answers(await ask(host, "elicitation/create", by=person)) == {"elicitation/create": ADA}
