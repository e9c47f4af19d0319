"""MCP servers over stdio: connected, called, changed and ended, with real processes."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from prx.config.integrations import McpServerConfig
from prx.core.errors import BadRequestError, ConflictError, NotFoundError, UnavailableError
from prx.core.event import topics
from prx.mcp.client.unit import CONNECTED, DISCONNECTED
from tests.support.mcp_host import SLOW, mcp_host, scripted
from tests.support.processes import children
from tests.support.waiting import PATIENCE_SECS, eventually

Servers = dict[str, McpServerConfig]


async def test_tools_of_a_server_are_called_through_the_router(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        view = await host.until("connected")
        assert view.connected_at is not None
        assert (view.transport, view.error, view.protocol_version) == ("stdio", None, "2025-06-18")
        assert "echo" in view.tools
        assert await host.output("echo", {"text": "hello"}) == "hello"
        assert await host.output("pid") == str(view.pid)
        spec = next(spec for spec in host.router.specs() if spec.name == "mcp__one__echo")
        assert (spec.source, spec.description) == ("mcp:one", "Does echo")
        assert host.servers.problems() == []
    assert children() == []


async def test_arguments_are_checked_before_the_server_sees_them(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        with pytest.raises(BadRequestError, match="text"):
            await host.call("echo", {"txt": "hello"})


async def test_how_a_tool_failed_is_told(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        failed = await host.call("fail")
        assert failed.error is not None
        assert (failed.error.code, failed.error.message) == ("tool_error", "it went wrong")
        refused = await host.call("refuse")
        assert refused.error is not None
        assert (refused.error.code, refused.error.message) == ("tool_error", "no such thing")


async def test_structured_content_is_the_output_and_the_whole_result_is_kept(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        result = await host.call("structured")
        assert result.output == {"numbers": [1, 2]}
        assert result.raw is not None
        assert result.raw["content"] == [{"type": "text", "text": "see the numbers"}]


async def test_progress_reaches_whoever_asked_for_it(tmp_path: Path) -> None:
    told: list[tuple[object, ...]] = []
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        result = await host.call("progress", progress=lambda *step: told.append(step))
        assert result.success
        assert told == [(1, 2, "step 1"), (2, 2, "step 2")]


async def test_a_call_that_takes_too_long_ends_and_is_cancelled_at_the_server(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted(request_timeout_ms=1500)}) as host:
        await host.until("connected")
        slow = await host.call("never")
        assert slow.error is not None
        assert slow.error.code == "timeout"
        assert "1.5 s" in slow.error.message
        assert len(json.loads(await host.output("cancelled"))) == 1
        assert host.view().status == "connected"


async def test_a_caller_that_goes_away_cancels_the_call_at_the_server(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        is_asked = tmp_path / "asked"
        call = asyncio.ensure_future(host.call("never", {"touch": str(is_asked)}))
        await eventually(is_asked.exists)
        call.cancel()
        await asyncio.wait({call})
        assert len(json.loads(await host.output("cancelled"))) == 1


async def test_a_call_that_a_reconnect_breaks_off_says_who_closed_the_connection(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        is_asked = tmp_path / "asked"
        call = asyncio.ensure_future(host.call("never", {"touch": str(is_asked)}))
        await eventually(is_asked.exists)
        host.servers.reconnect("one")
        broken_off = await call
        assert broken_off.error is not None
        assert broken_off.error.code == "connection_lost"
        assert broken_off.error.message.endswith("the daemon closed the connection")


async def test_the_environment_is_clean_but_for_what_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAEMON_SECRET", "hunter2")
    config = scripted(env={"API_KEY": "given"}, cwd=str(tmp_path))
    async with mcp_host(tmp_path, {"one": config}) as host:
        await host.until("connected")
        seen = json.loads(await host.output("environment"))
    assert seen.pop("API_KEY") == "given"
    assert seen.pop("cwd") == str(tmp_path)
    assert set(seen) <= {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LC_CTYPE"}


async def test_allow_and_deny_lists_choose_the_tools(tmp_path: Path) -> None:
    config = scripted(allow_tools=["e*", "pid"], deny_tools=["environment"])
    async with mcp_host(tmp_path, {"one": config}) as host:
        view = await host.until("connected")
        assert view.tools == ["echo", "pid"]
        assert view.skipped["environment"] == "deny_tools names it"
        assert view.skipped["die"] == "allow_tools does not name it"


async def test_an_empty_prefix_gives_the_bare_names_and_illegal_ones_are_mapped(tmp_path: Path) -> None:
    listed = [
        {"name": name, "inputSchema": {"type": "object"}}
        for name in ("plain", "with space/and.dot", "x" * 80)
    ]
    config = scripted(f"tools={json.dumps(listed)}", tool_name_prefix="")
    async with mcp_host(tmp_path, {"one": config}) as host:
        await host.until("connected")
        offered = host.view().offered
        assert offered["plain"] == "plain"
        mapped = offered["with space/and.dot"]
        assert mapped.startswith("with_space_and_dot_")
        assert len(offered["x" * 80]) == 64
        assert await host.output(mapped) == "with space/and.dot"


async def test_a_tool_that_cannot_be_offered_costs_itself_alone(tmp_path: Path) -> None:
    listed = [
        {"name": "good", "inputSchema": {"type": "object"}},
        {"name": "good", "inputSchema": {"type": "object"}},
        {"name": "bad_schema", "inputSchema": {"type": "nonsense"}},
        {"name": "no_schema"},
        {"inputSchema": {"type": "object"}},
        "not a tool",
        {"name": "task", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}},
        {"name": "huge", "padded": True, "inputSchema": {"type": "object"}},
    ]
    async with mcp_host(tmp_path, {"one": scripted(f"tools={json.dumps(listed)}")}) as host:
        view = await host.until("connected")
        assert view.tools == ["good"]
        assert view.skipped["good"] == "the server lists it twice"
        assert "not a JSON Schema" in view.skipped["bad_schema"]
        assert view.skipped["no_schema"] == "it has no inputSchema"
        assert "#5" in view.skipped
        assert "#6" in view.skipped
        assert view.skipped["task"] == "it only runs as a task, which is not supported"
        assert view.skipped["huge"].endswith("bytes to describe, more than 131072")


async def test_a_name_that_is_taken_is_offered_once_it_is_free(tmp_path: Path) -> None:
    servers = {"one": scripted(tool_name_prefix="", allow_tools=["echo"])}
    async with mcp_host(tmp_path, servers) as host:
        await host.until("connected")
        servers["two"] = scripted(tool_name_prefix="", allow_tools=["echo"])
        host.servers.reconfigured()
        second = await host.until("connected", "two")
        assert second.tools == []
        assert second.skipped["echo"] == 'tool "echo" is already offered by mcp:one'
        del servers["one"]
        host.servers.reconfigured()
        await eventually(lambda: "echo" not in host.tools() or host.view("two").tools)
        host.servers.reconnect("two")
        await eventually(lambda: host.view("two").tools == ["echo"])


async def test_more_tools_than_are_offered_are_left_out(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted("many=1200")}) as host:
        view = await host.until("connected")
        assert len(view.tools) == 1000
        assert view.skipped["tool_1000"] == "the server lists more than 1000 tools, or 16777216 bytes"
        assert len(view.skipped) == 100


async def test_a_list_that_changes_a_thousand_times_is_read_a_few_times_and_is_right_in_the_end(
    tmp_path: Path,
) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        kept = next(spec for spec in host.router.specs() if spec.name == "mcp__one__echo")
        assert await host.output("storm") == "over"
        await eventually(lambda: "version_1000" in host.view().tools)
        assert next(spec for spec in host.router.specs() if spec.name == "mcp__one__echo") is kept
        assert [tool for tool in host.view().tools if tool.startswith("version_")] == ["version_1000"]


async def test_connections_made_and_lost_are_told_on_the_bus(tmp_path: Path) -> None:
    servers = {"one": scripted()}
    async with mcp_host(tmp_path, servers) as host:
        with host.bus.subscribed(topics("prx.mcp.*")) as told:
            await host.until("connected")
            await host.call("die")
            first, second, third = [await asyncio.wait_for(told.take(), PATIENCE_SECS) for _ in range(3)]
    assert (first.topic, second.topic, third.topic) == (CONNECTED, DISCONNECTED, CONNECTED)
    assert first.payload["server"] == "one"
    assert "killed by signal 9" in second.payload["reason"]


async def test_only_servers_whose_own_configuration_changed_reconnect(tmp_path: Path) -> None:
    servers = {"one": scripted(), "two": scripted(), "three": scripted()}
    async with mcp_host(tmp_path, servers) as host:
        pids = {name: (await host.until("connected", name)).pid for name in servers}
        servers["two"] = scripted(deny_tools=["die"])
        del servers["three"]
        servers["four"] = scripted()
        host.servers.reconfigured()
        await host.until("connected", "four")
        await eventually(
            lambda: "die" not in host.view("two").tools and host.view("two").status == "connected"
        )
        assert host.view("one").pid == pids["one"]
        assert host.view("two").pid != pids["two"]
        assert host.servers.names() == ["four", "one", "two"]
        assert not [name for name in host.tools() if "three" in name]
        with pytest.raises(NotFoundError, match="configured are: four, one, two"):
            host.view("three")
        await eventually(lambda: len(children()) == 3)


async def test_a_server_that_is_disabled_is_gone_until_it_is_enabled_over_restarts_too(
    tmp_path: Path,
) -> None:
    servers = {"one": scripted()}
    async with mcp_host(tmp_path, servers) as host:
        await host.until("connected")
        await host.servers.disable("one")
        assert host.view().status == "disabled"
        with pytest.raises(ConflictError, match="prx mcp enable one"):
            await host.call("echo", {"text": "hello"})
        await eventually(lambda: children() == [])
        assert host.servers.problems() == []
    async with mcp_host(tmp_path, servers) as host:
        assert host.view().status == "disabled"
        with pytest.raises(ConflictError, match="is disabled: enable it"):
            host.servers.reconnect("one")
        with pytest.raises(ConflictError, match="prx mcp enable one"):
            await host.call("echo", {"text": "hello"})
        await host.servers.enable("one")
        await host.until("connected")
        assert await host.output("echo", {"text": "hello"}) == "hello"


@pytest.mark.parametrize("prefix", ["mcp", ""])
async def test_what_cannot_be_called_for_now_says_so_also_where_the_server_has_not_connected_since_its_table_changed(
    tmp_path: Path, prefix: str
) -> None:
    servers = {"one": scripted(tool_name_prefix=prefix)}
    tool = f"{prefix}__one__echo" if prefix else "echo"
    async with mcp_host(tmp_path, servers) as host:
        await host.until("connected")
        servers["one"] = scripted("silent", tool_name_prefix=prefix)
        host.servers.reconfigured()
        while tool in host.tools():  # noqa: ASYNC110  # nothing tells, and the first moment counts
            await asyncio.sleep(0)
        # From the first moment on, while the last connection is still being closed.
        with pytest.raises(UnavailableError, match='MCP server "one" is not connected: it is connecting'):
            await host.router.call(tool, {"text": "hello"}, host.caller)
        await host.until("connecting")
        with pytest.raises(UnavailableError, match='MCP server "one" is not connected: it is connecting'):
            await host.router.call(tool, {"text": "hello"}, host.caller)
        await host.servers.disable("one")
        with pytest.raises(ConflictError, match="prx mcp enable one"):
            await host.router.call(tool, {"text": "hello"}, host.caller)
        with pytest.raises(NotFoundError):
            await host.router.call("mcp__another__echo", {"text": "hello"}, host.caller)
        del servers["one"]
        with pytest.raises(NotFoundError):
            await host.router.call(tool, {"text": "hello"}, host.caller)


async def test_a_server_that_the_configuration_disables_is_not_started(tmp_path: Path) -> None:
    servers = {"one": scripted(enabled=False)}
    async with mcp_host(tmp_path, servers) as host:
        assert host.view().status == "disabled"
        with pytest.raises(ConflictError, match=r"mcp\.servers\.one\.enabled = true"):
            await host.servers.enable("one")
        with pytest.raises(ConflictError, match=r"mcp\.servers\.one\.enabled = true"):
            await host.call("echo", {"text": "hello"})
        servers["one"] = scripted()
        host.servers.reconfigured()
        await host.until("connected")


async def test_a_reconnect_is_one_restart_however_often_it_is_asked_for(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        before = (await host.until("connected")).pid
        for _ in range(5):
            host.servers.reconnect("one")
            assert host.view().status == "reconnecting"
        after = await host.until("connected")
        assert after.pid != before
        assert after.restarts == 1


async def test_resources_and_prompts_are_reachable(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        (server,) = host.servers.connected()
        assert await server.items("resources") == [{"uri": "memo://one", "name": "one"}]
        assert await server.items("prompts") == [{"name": "greet"}]
        read = await server.request("resources/read", {"uri": "memo://one"})
        assert read["contents"][0]["text"] == "the memo"


async def test_a_call_before_the_first_connection_is_told_to_wait(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}, restarts=SLOW) as host:
        await host.until("connected")
        os.kill(host.view().pid or 0, 9)
        await host.until("disconnected", error="killed by signal 9")
        with pytest.raises(UnavailableError, match="is not connected: its process was killed by signal 9"):
            await host.call("echo", {"text": "hello"})


async def test_a_server_that_is_removed_and_added_at_once_is_one_server(tmp_path: Path) -> None:
    servers = {"one": scripted()}
    async with mcp_host(tmp_path, servers) as host:
        before = (await host.until("connected")).pid
        config = servers.pop("one")
        for _ in range(3):
            host.servers.reconfigured()
        await eventually(lambda: host.supervisor.find("mcp.one") is None)
        servers["one"] = config
        for _ in range(3):
            host.servers.reconfigured()
        after = await host.until("connected")
        assert after.pid != before
        assert await host.output("echo", {"text": "hello"}) == "hello"
        await eventually(lambda: children() == [after.pid])
