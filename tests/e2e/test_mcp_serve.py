"""`prx mcp serve` as MCP clients start it: a command that speaks on stdin and stdout."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp_types import ToolListChangedNotification

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess
from tests.support.mcp_host import SCRIPT
from tests.support.waiting import wait_until

MODES = ["legacy", "2026-07-28", "auto"]
COMMAND = ["-m", "prx", "mcp", "serve"]


@pytest.fixture
def daemon(start_daemon: StartDaemon, tmp_path: Path) -> DaemonProcess:
    """A daemon with one plugin, `echo`."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "echo.wasm").write_bytes(component("echo"))
    return started(start_daemon, plugins)


def started(start_daemon: StartDaemon, plugins: Path) -> DaemonProcess:
    daemon = start_daemon(environment={"PRX__PLUGINS__DIRECTORY": str(plugins)})
    daemon.event("plugin loaded")
    return daemon


@asynccontextmanager
async def client(daemon: DaemonProcess, mode: str, **options: Any) -> AsyncIterator[Client]:
    command = StdioServerParameters(
        command=sys.executable, args=COMMAND, env=daemon.environment, cwd=daemon.home
    )
    async with Client(command, mode=mode, **options) as client:  # type: ignore[arg-type]
        yield client


def tokens(daemon: DaemonProcess) -> list[str]:
    return [token["name"] for token in json.loads(daemon.prx("auth", "list", "--json"))["tokens"]]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_starts_the_command_calls_the_daemons_tools(
    daemon: DaemonProcess, mode: str
) -> None:
    async with client(daemon, mode) as connected:
        assert [tool.name for tool in (await connected.list_tools()).tools] == ["echo"]
        assert tokens(daemon) == ["prx mcp serve"]
        result = await connected.call_tool("echo", {"text": "hällo"})
        assert [item.text for item in result.content] == ["hällo"]  # type: ignore[union-attr]
    assert tokens(daemon) == []


async def test_a_plugin_that_is_dropped_in_is_announced_through_the_command(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    told = asyncio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            told.set()

    async with client(daemon, "legacy", message_handler=hear) as old, client(daemon, "2026-07-28") as new:
        async with asyncio.timeout(60), new.listen(tools_list_changed=True) as news:
            (tmp_path / "plugins" / "fallible.wasm").write_bytes(component("fallible"))
            await told.wait()
            await anext(aiter(news))
        assert len((await old.list_tools()).tools) > 1
        assert len((await new.list_tools()).tools) > 1


async def test_a_daemon_that_is_started_anew_costs_the_client_nothing(
    daemon: DaemonProcess, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    told = asyncio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            told.set()

    async with client(daemon, "legacy", message_handler=hear) as old, client(daemon, "2026-07-28") as new:
        for connected in (old, new):
            await connected.call_tool("echo", {"text": "before"})
        assert await asyncio.to_thread(daemon.stop) == 0
        await asyncio.to_thread(started, start_daemon, tmp_path / "plugins")
        for connected in (old, new):
            result = await connected.call_tool("echo", {"text": "after"})
            assert [item.text for item in result.content] == ["after"]  # type: ignore[union-attr]
        async with asyncio.timeout(60):
            await told.wait()


@pytest.mark.parametrize("mode", MODES)
async def test_arguments_that_a_tool_wants_in_headers_are_put_there_for_a_client_that_has_none(
    start_daemon: StartDaemon, tmp_path: Path, mode: str
) -> None:
    region = {"type": "string", "x-mcp-header": "Region"}
    tool = {"name": "query", "inputSchema": {"type": "object", "properties": {"region": region}}}
    server = {"command": sys.executable, "args": ["-S", str(SCRIPT), f"tools={json.dumps([tool])}"]}
    (tmp_path / "plugins").mkdir()
    (tmp_path / "prx.toml").write_text(
        "[mcp.servers.one]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in server.items())
    )
    daemon = start_daemon()
    daemon.event("connected")
    async with client(daemon, mode) as connected:
        for arguments in ({"region": "säo paulo"}, {"region": "eu"}, {}):
            result = await connected.call_tool("mcp__one__query", arguments)
            assert [item.text for item in result.content] == ["query"]  # type: ignore[union-attr]


async def test_a_call_while_no_daemon_runs_fails_with_the_way_to_start_one(daemon: DaemonProcess) -> None:
    async with client(daemon, "legacy") as connected:
        assert await asyncio.to_thread(daemon.stop) == 0
        with pytest.raises(Exception, match="start it with `prx daemon`"):
            await connected.call_tool("echo", {"text": "x"})


def test_without_a_daemon_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *COMMAND], cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (5, "")
    assert "start it with `prx daemon`" in done.stderr


def test_lines_that_are_no_messages_are_answered_and_hurt_nothing(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = {
        "jsonrpc": "2.0", "id": "x", "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "y"}, "_meta": meta},
    }  # fmt: skip
    nonsense = [
        b"{",
        b'{"jsonrpc": "2.0", "id": [], "method": "ping"}',
        b"[1]",
        b"\xff\xfe",
        b"",
        b'{"jsonrpc": "2.0"}',
    ]
    lines = b"\n".join([*nonsense, json.dumps(call).encode(), b""])
    (tmp_path / "lines").write_bytes(lines)
    # From a pipe and from a file.
    with (tmp_path / "lines").open("rb") as file:
        runs: list[dict[str, Any]] = [{"input": lines}, {"stdin": file}]
        for given in runs:
            done = subprocess.run(
                [sys.executable, *COMMAND],
                cwd=daemon.home,
                env=daemon.environment,
                capture_output=True,
                check=True,
                **given,
            )
            *errors, answer = [json.loads(line) for line in done.stdout.splitlines()]
            assert [error["error"]["code"] for error in errors] == [-32700, -32600, -32700, -32700, -32602]
            assert (answer["id"], answer["result"]["content"]) == ("x", [{"type": "text", "text": "y"}])
    assert tokens(daemon) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_ends_at_a_signal_and_leaves_nothing(
    daemon: DaemonProcess, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, *COMMAND],
        cwd=daemon.home,
        env=daemon.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        wait_until(lambda: tokens(daemon) == ["prx mcp serve"])
        process.send_signal(number)
        assert process.wait(60) == 0
    assert tokens(daemon) == []
