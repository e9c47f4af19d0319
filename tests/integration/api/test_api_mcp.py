"""MCP servers over the API: what is listed and told of each, and connecting, disabling and enabling them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from prx.api.app import build_app
from prx.config.integrations import McpServerConfig
from prx.core.ids import iso_utc
from prx.core.tool import ToolResult
from tests.integration.api.api_harness import Api, Echo, Scripted, deps_of, serving
from tests.support.mcp_host import SLOW, McpHost, mcp_host, scripted
from tests.support.waiting import eventually

MCP = "/api/v1/mcp"
LISTED = (
    '[{"name": "read_file", "inputSchema": {}}, {"name": "write_file", "inputSchema": {}}, {"name": "bad"}]'
)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[McpHost]:
    """One server that works, one whose program is missing, one that the configuration disables."""
    servers = {
        "filesystem": scripted(f"tools={LISTED}"),
        "missing": McpServerConfig(command="no-such-program"),
        "off": scripted(enabled=False),
    }
    (tmp_path / "mcp").mkdir()
    async with mcp_host(tmp_path / "mcp", servers, restarts=SLOW) as host:
        await host.until("connected", "filesystem")
        await host.until("disconnected", "missing")
        yield host


@pytest.fixture
async def served(api: Api, host: McpHost) -> AsyncIterator[Api]:
    api.mcp_servers, api.router = host.servers, host.router
    api.board.watch(host.servers.problems)
    async with serving(api, build_app(deps_of(api))):
        yield api


async def listed(api: Api) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in (await api.get(MCP)).json()["servers"]}


async def test_without_servers_the_list_is_empty(api: Api) -> None:
    assert (await api.get(MCP)).json() == {"servers": []}


async def test_every_configured_server_is_listed_as_it_is(served: Api, host: McpHost) -> None:
    connected_at = host.view("filesystem").connected_at
    assert connected_at is not None
    assert (await served.get(MCP)).json() == {
        "servers": [
            {
                "name": "filesystem",
                "transport": "stdio",
                "status": "connected",
                "tools": ["read_file", "write_file"],
                "connected_at": iso_utc(connected_at),
            },
            {
                "name": "missing",
                "transport": "stdio",
                "status": "disconnected",
                "tools": [],
                "error": "its program no-such-program is not on the PATH: install it, or set the command to its "
                "absolute path",
            },
            {"name": "off", "transport": "stdio", "status": "disabled", "tools": []},
        ]
    }


async def test_a_server_that_is_not_connected_degrades_the_daemon(served: Api) -> None:
    status = (await served.get("/api/v1/status")).json()
    assert status["status"] == "degraded"
    (problem,) = status["problems"]
    assert problem["unit"] == "mcp.missing"
    assert problem["reason"].startswith("it is not connected: its program no-such-program")
    assert "prx mcp reconnect missing" in problem["action"]


async def test_one_server_is_shown_in_full(served: Api, host: McpHost) -> None:
    shown = (await served.get(f"{MCP}/filesystem")).json()
    assert shown.pop("connected_at")
    assert shown.pop("command")
    assert shown == {
        "name": "filesystem",
        "transport": "stdio",
        "status": "connected",
        "tools": ["read_file", "write_file"],
        "enabled": True,
        "restarts": 0,
        "offered": {"read_file": "mcp__filesystem__read_file", "write_file": "mcp__filesystem__write_file"},
        "skipped": {"bad": "it has no inputSchema"},
        "pid": host.view("filesystem").pid,
        "protocol_version": "2025-06-18",
        "server": {"name": "scripted", "version": "1.0"},
        "capabilities": {"tools": {"listChanged": True}, "resources": {}, "prompts": {}},
    }


async def test_tools_are_called_over_the_api(served: Api) -> None:
    reply = await served.post("/api/v1/tools/mcp__filesystem__read_file/call", json={"arguments": {}})
    assert (reply.status, reply.json()) == (
        200,
        {"success": True, "output": "read_file", "error": None, "receipt": None},
    )


async def test_the_daemon_itself_is_a_server_of_the_newer_era_to_another_daemon(
    api: Api, echo: Echo, tmp_path: Path
) -> None:
    config = {"url": f"http://127.0.0.1:{api.port}/mcp", "headers": {"Authorization": f"Bearer {api.token}"}}
    (tmp_path / "other").mkdir()
    async with mcp_host(tmp_path / "other", {"one": McpServerConfig.model_validate(config)}) as other:
        view = await other.until("connected")
        assert view.protocol_version == "2026-07-28"
        assert view.tools == ["echo"]
        assert await other.output("echo", {"text": "over two daemons"}) == "over two daemons"
        failed = await other.call("echo", {"text": "because", "fail": "tool_error"})
        assert failed.error is not None
        assert (failed.error.code, failed.error.message) == ("tool_error", "because")
        with api.router.offering([Scripted("late", done)]):
            await eventually(lambda: "late" in other.view().tools)
            assert await other.output("late") == "done"
        await eventually(lambda: other.view().tools == ["echo"])
    assert len(echo.contexts) == 2


async def done() -> ToolResult:
    return ToolResult(output="done")


async def test_a_reconnect_is_answered_at_once_and_made_in_the_background(served: Api, host: McpHost) -> None:
    before = host.view("filesystem").pid
    for _ in range(3):
        reply = await served.post(f"{MCP}/filesystem/reconnect")
        assert (reply.status, reply.json()) == (200, {"name": "filesystem", "status": "reconnecting"})
    assert (await host.until("connected", "filesystem")).pid != before
    assert host.view("filesystem").restarts == 1


async def test_a_server_is_disabled_and_enabled(served: Api, host: McpHost) -> None:
    for _ in range(2):
        reply = await served.post(f"{MCP}/filesystem/disable")
        assert (reply.status, reply.json()) == (200, {"name": "filesystem", "status": "disabled"})
    assert (await listed(served))["filesystem"] == {
        "name": "filesystem",
        "transport": "stdio",
        "status": "disabled",
        "tools": [],
    }
    call = await served.post("/api/v1/tools/mcp__filesystem__read_file/call", json={})
    assert (call.status, call.error["code"]) == (409, "conflict")
    refused = await served.post(f"{MCP}/filesystem/reconnect")
    assert (refused.status, refused.error["code"]) == (409, "conflict")
    reply = await served.post(f"{MCP}/filesystem/enable")
    assert (reply.status, reply.json()) == (200, {"name": "filesystem", "status": "connecting"})
    await host.until("connected", "filesystem")


async def test_a_server_that_is_down_is_503_to_its_callers(served: Api, host: McpHost) -> None:
    with host.router.offering([]):
        pid = host.view("filesystem").pid
    assert pid is not None
    await host.supervisor.remove("mcp.filesystem")
    call = await served.post("/api/v1/tools/mcp__filesystem__read_file/call", json={})
    assert (call.status, call.error["code"]) == (503, "unavailable")
    assert 'MCP server "filesystem" is not connected' in call.error["message"]
    assert call.headers["Retry-After"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/reconnect"), ("POST", "/disable"), ("POST", "/enable")],
)
async def test_an_unknown_server_is_not_found(served: Api, method: str, path: str) -> None:
    reply = await served.call(method, f"{MCP}/nobody{path}")
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert reply.error["message"] == 'MCP server "nobody" not found; configured are: filesystem, missing, off'


async def test_what_the_configuration_disables_is_not_enabled_over_the_api(served: Api) -> None:
    reply = await served.post(f"{MCP}/off/enable")
    assert (reply.status, reply.error["code"]) == (409, "conflict")


async def test_who_may_look_may_not_reconnect(served: Api) -> None:
    viewer, _ = served.tokens.create("viewer", role="viewer")
    assert (await served.get(MCP, token=viewer)).status == 200
    assert (await served.get(f"{MCP}/filesystem", token=viewer)).status == 200
    for act in ("reconnect", "disable", "enable"):
        refused = await served.post(f"{MCP}/filesystem/{act}", token=viewer)
        assert (refused.status, refused.error["details"]) == (403, {"scope": "mcp:write"})
