"""What connected MCP servers have beside tools is there for the daemon's own clients, and no server costs another's."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp import MCPError
from mcp_types import (
    PromptListChangedNotification,
    PromptReference,
    ResourceListChangedNotification,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
)

from prx.config.integrations import McpServerConfig
from tests.integration.mcp.test_asking_servers import asking
from tests.integration.mcp_server.clients import LEGACY, NEWEST, Port
from tests.integration.mcp_server.conftest import MakePort
from tests.support.everything_server import PROMPTS, RESOURCES, TEMPLATE
from tests.support.mcp_host import McpHost, mcp_host
from tests.support.waiting import eventually

# What the newest version does without is what older clients do.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

MODES = ["legacy", NEWEST]
WATCHED = "test://watched-resource"


def everything(**config: Any) -> McpServerConfig:
    return McpServerConfig(
        command=sys.executable,
        args=("-m", "tests.support.everything_server"),
        cwd=Path(__file__).parents[3],
        startup_timeout_ms=60_000,
        ask_clients=True,
        handshake="legacy",  # it asks as older versions do
        **config,
    )


class Passing(NamedTuple):
    port: Port
    host: McpHost


@pytest.fixture
async def passing(make_port: MakePort, tmp_path: Path) -> AsyncIterator[Passing]:
    """A port that passes two servers on, one of them under its own names."""
    servers = {"one": everything(tool_name_prefix=""), "two": everything()}
    home = tmp_path / "servers"
    home.mkdir()
    async with mcp_host(home, servers) as host:
        for name in servers:
            await host.until("connected", name, within_secs=60)
        yield Passing(await make_port(upstreams=host.servers), host)


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_of_all_servers_are_listed_and_got_under_their_names(
    passing: Passing, mode: str
) -> None:
    async with passing.port.client(mode) as client:
        listed = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert listed == [*PROMPTS, *(f"mcp__two__{name}" for name in PROMPTS)]
        for name in ("test_prompt_with_arguments", "mcp__two__test_prompt_with_arguments"):
            got = await client.get_prompt(name, {"arg1": "a", "arg2": "b"})
            assert got.messages[0].content.text == "Prompt with arguments: arg1='a', arg2='b'"  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="Unknown prompt: nonesuch"):
            await client.get_prompt("nonesuch")


@pytest.mark.parametrize("mode", MODES)
async def test_resources_are_listed_once_and_read_whole(passing: Passing, mode: str) -> None:
    async with passing.port.client(mode) as client:
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert listed == list(RESOURCES)
        templates = (await client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == [TEMPLATE]
        [text] = (await client.read_resource("test://static-text")).contents
        assert text.text == RESOURCES["test://static-text"]["text"]  # type: ignore[union-attr]
        [made] = (await client.read_resource("test://template/7/data")).contents
        assert '"id": "7"' in made.text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="Unknown resource: test://nonesuch"):
            await client.read_resource("test://nonesuch")


@pytest.mark.parametrize("mode", MODES)
async def test_arguments_of_prompts_and_templates_are_completed(passing: Passing, mode: str) -> None:
    async with passing.port.client(mode) as client:
        for about in (
            PromptReference(name="mcp__two__test_prompt_with_arguments"),
            ResourceTemplateReference(uri=TEMPLATE),
        ):
            found = await client.complete(about, {"name": "arg1", "value": "a"})
            assert found.completion.values == ["a-1", "a-2"]


async def test_a_changed_resource_is_told_to_sessions_that_subscribed_and_to_no_other(
    passing: Passing,
) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()
    others: list[Any] = []

    async def hear(message: Any) -> None:
        told.put_nowait(message)

    async def overhear(message: Any) -> None:
        others.append(message)

    async with (
        asyncio.timeout(60),
        passing.port.client("legacy", message_handler=hear) as client,
        passing.port.client("legacy", message_handler=overhear) as other,
    ):
        await client.subscribe_resource(WATCHED)
        await passing.host.call("touch", {"uri": WATCHED})
        kinds = {type(await told.get()) for _ in range(3)}
        assert kinds == {
            ResourceUpdatedNotification,
            PromptListChangedNotification,
            ResourceListChangedNotification,
        }
        await other.list_prompts()
        await eventually(lambda: len(others) == 2)
        assert ResourceUpdatedNotification not in map(type, others)
        assert passing.port.held == {WATCHED: 1}
        await client.unsubscribe_resource(WATCHED)
        assert passing.port.held == {}
        await client.subscribe_resource(WATCHED)
    await eventually(lambda: passing.port.held == {})


async def test_a_changed_resource_is_told_to_subscribers_of_the_newest_version(passing: Passing) -> None:
    async with asyncio.timeout(60), passing.port.client(NEWEST) as client:
        async with client.listen(resource_subscriptions=[WATCHED]) as news:
            assert passing.port.held == {WATCHED: 1}
            await passing.host.call("touch", {"uri": WATCHED})
            assert (await anext(aiter(news))).uri == WATCHED  # type: ignore[union-attr]
        await eventually(lambda: passing.port.held == {})


async def test_a_servers_log_is_heard_from_the_level_that_a_session_asked_for(passing: Passing) -> None:
    lines: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(params: Any) -> None:
        lines.put_nowait(params)

    async with asyncio.timeout(60), passing.port.client("legacy", logging_callback=hear) as client:
        await client.list_prompts()
        await passing.host.call("test_tool_with_logging", {})
        await client.set_logging_level("info")
        await passing.host.call("test_tool_with_logging", {})
        first = await lines.get()
        assert (first.level, first.logger, first.data) == ("info", "one", "Tool execution started")
        await lines.get()
        await lines.get()
        await client.set_logging_level("error")
        await passing.host.call("test_tool_with_logging", {})
        await client.list_prompts()
        assert lines.empty()


@pytest.mark.parametrize("handshake", ["auto", "legacy"])
async def test_a_server_of_either_era_logs_what_clients_want(
    make_port: MakePort, tmp_path: Path, handshake: str
) -> None:
    lines: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(params: Any) -> None:
        lines.put_nowait(params)

    home = tmp_path / "servers"
    home.mkdir()
    async with mcp_host(home, {"one": asking(handshake=handshake)}) as host, asyncio.timeout(60):
        await host.until("connected", within_secs=60)
        port = await make_port(upstreams=host.servers)
        async with port.client("legacy", logging_callback=hear) as client:
            await client.list_prompts()
            await client.set_logging_level("info")
            await host.call("say")
            told = await lines.get()
            assert (told.level, told.logger, told.data) == ("info", "one", "said")
            await client.set_logging_level("error")
            await host.call("say")
            await client.list_prompts()
            assert lines.empty()


@pytest.mark.parametrize("era", [LEGACY, NEWEST])
async def test_a_token_that_may_only_read_sees_lists_and_has_nothing_asked(
    passing: Passing, era: str
) -> None:
    secret, _ = passing.port.api.tokens.create("reader", scopes=["tools:read"])
    wire = await passing.port.wire(era, token=secret)
    assert len((await wire.ask("prompts/list"))["result"]["prompts"]) == 2 * len(PROMPTS)
    asked = await wire.send(wire.request("resources/read", {"uri": WATCHED}), headers={"Mcp-Name": WATCHED})
    assert b"lacks the scope tools:write" in asked.body
    caller, _ = passing.port.api.tokens.create("caller", scopes=["tools:write"])
    wire = await passing.port.wire(era, token=caller)
    assert (await wire.ask("prompts/list"))["result"]["prompts"] == []


async def test_a_server_that_went_away_takes_its_own_with_it(passing: Passing) -> None:
    async with asyncio.timeout(60), passing.port.client("legacy") as client:
        await passing.host.servers.disable("one")
        await eventually(lambda: [up.name for up in passing.host.servers.connected()] == ["two"])
        listed = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert listed == [f"mcp__two__{name}" for name in PROMPTS]
        assert (await client.read_resource("test://static-text")).contents
        await passing.host.servers.disable("two")
        await eventually(lambda: [up.name for up in passing.host.servers.connected()] == [])
        assert (await client.list_prompts()).prompts == []
        with pytest.raises(MCPError, match="Unknown resource"):
            await client.read_resource("test://static-text")


async def test_the_log_of_a_server_is_as_fine_as_the_client_that_wants_most_of_it_also_after_a_restart(
    passing: Passing,
) -> None:
    async def is_asked_for(level: str) -> None:
        async with asyncio.timeout(60):
            while await passing.host.output("level") != level:  # noqa: ASYNC110 - it is the server that is asked
                await asyncio.sleep(0.02)

    async with asyncio.timeout(60), passing.port.client("legacy") as client:
        async with passing.port.client("legacy") as other:
            await other.set_logging_level("debug")
            await client.set_logging_level("error")
            assert await passing.host.output("level") == "debug"
        await is_asked_for("error")
        before = passing.host.view().pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await eventually(lambda: passing.host.view().pid not in (None, before), within_secs=60)
        await is_asked_for("error")


async def test_a_client_that_may_only_read_hears_what_others_asked_servers_for_and_asks_for_nothing(
    passing: Passing,
) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(params: Any) -> None:
        heard.put_nowait(params.level)

    secret, _ = passing.port.api.tokens.create("reader", scopes=["tools:read"])
    reading = passing.port.client("legacy", token=secret, logging_callback=hear)
    async with asyncio.timeout(60), passing.port.client("legacy") as client:
        await client.set_logging_level("error")
        async with reading as reader:
            await reader.set_logging_level("debug")
            assert await passing.host.output("level") == "error"
            await passing.host.call("test_tool_with_logging", {})
            assert await heard.get() == "info"
        # Nor does its end ask for anything.
        await eventually(lambda: passing.port.open_sessions == 1)
        assert await passing.host.output("level") == "error"


async def test_a_server_that_does_not_answer_keeps_nobody_from_setting_the_level_of_the_others(
    passing: Passing,
) -> None:
    stopped = passing.host.view("two").pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    try:
        async with asyncio.timeout(40), passing.port.client("legacy") as client:
            await client.set_logging_level("warning")
            assert await passing.host.output("level") == "warning"
    finally:
        os.kill(stopped, signal.SIGCONT)
