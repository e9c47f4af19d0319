"""MCP servers over HTTP: sessions, streams, and everything that goes wrong between two machines."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from prx.config.integrations import McpServerConfig
from prx.core.errors import UnavailableError
from prx.mcp.client.unit import Timing
from tests.support.http_mcp import HttpServer, http_server
from tests.support.mcp_host import SLOW, McpHost, mcp_host
from tests.support.processes import open_descriptors
from tests.support.waiting import eventually

# What answers at all does so in time, also where the machine is busy.
_QUICK_PROBE = Timing(probe_secs=0.1, answer_secs=2.0, settle_secs=0.01)


def reaching(server: HttpServer, **config: Any) -> dict[str, McpServerConfig]:
    return {"one": McpServerConfig.model_validate({"url": server.url, **config})}


async def failure(host: McpHost, tool: str) -> tuple[str, str]:
    result = await host.call(tool)
    assert result.error is not None
    return result.error.code, result.error.message


async def test_tools_are_called_in_one_session_which_is_ended_in_the_end(tmp_path: Path) -> None:
    async with http_server() as server:
        async with mcp_host(tmp_path, reaching(server)) as host:
            view = await host.until("connected")
            assert (view.transport, view.url, view.pid) == ("http", server.url, None)
            assert await host.output("echo") == "done"
            assert [await host.output("echo") for _ in range(5)] == ["done"] * 5
            (session,) = server.sessions
        assert server.ended == [session]


@pytest.mark.parametrize(
    ("tool", "code", "message"),
    [
        ("refused", "tool_error", "no such city"),
        ("broken", "tool_error", "it answered with HTTP 500"),
        ("html", "tool_error", "it answered with text/html"),
        ("bare", "tool_error", "it accepted a request without answering it"),
        (
            "scoped",
            "tool_error",
            "more scopes (read write): log in again with `prx mcp login one --scope read --scope write`",
        ),
        ("gone", "tool_error", "it redirects to http://elsewhere.example: set the url to where it is"),
        ("rubbish", "tool_error", "it answered something else than it was asked"),
        ("large", "output_too_large", "the server's answer has more than 8388608 bytes"),
        ("cut", "connection_lost", "its answer broke off"),
    ],
)
async def test_an_answer_that_is_none_fails_its_call_alone(
    tmp_path: Path, tool: str, code: str, message: str
) -> None:
    async with http_server() as server, mcp_host(tmp_path, reaching(server)) as host:
        await host.until("connected")
        beside = asyncio.ensure_future(host.call("hang"))
        found = await failure(host, tool)
        assert found[0] == code
        assert message in found[1]
        assert not beside.done()
        assert await host.output("echo") == "done"
        assert host.view().restarts == 0
        beside.cancel()
        await asyncio.wait({beside})


async def test_a_stream_that_breaks_off_is_resumed_where_it_can_be(tmp_path: Path) -> None:
    async with http_server() as server, mcp_host(tmp_path, reaching(server)) as host:
        await host.until("connected")
        assert await host.output("resume") == "done"
        assert server.calls == ["resume"]


@pytest.mark.parametrize("tool", ["hang", "drip"])
async def test_an_answer_that_does_not_come_ends_its_call_in_time_and_is_cancelled(
    tmp_path: Path, tool: str
) -> None:
    async with http_server() as server, mcp_host(tmp_path, reaching(server, request_timeout_ms=1500)) as host:
        await host.until("connected")
        assert (await failure(host, tool))[0] == "timeout"
        await eventually(lambda: len(server.cancelled) == 1)
        assert await host.output("echo") == "done"


async def test_what_the_server_tells_unasked_is_heard(tmp_path: Path) -> None:
    async with http_server() as server, mcp_host(tmp_path, reaching(server)) as host:
        told: list[tuple[str, str]] = []
        await host.until("connected")
        await eventually(lambda: server.streams)
        with host.servers.noticing(lambda name, method, _params: told.append((name, method))):
            await server.push("notifications/prompts/list_changed")
            await eventually(lambda: told)
        assert told == [("one", "notifications/prompts/list_changed")]


async def test_a_server_that_was_restarted_while_idle_is_met_again_and_the_call_runs_once(
    tmp_path: Path,
) -> None:
    async with http_server() as server, mcp_host(tmp_path, reaching(server)) as host:
        await host.until("connected")
        server.sessions.clear()  # what a server forgets that is started again on its port
        assert await host.output("echo") == "done"
        assert server.calls == ["echo"]
        assert len(server.sessions) == 1
        assert host.view().restarts == 1


async def test_a_server_that_goes_away_in_the_middle_of_a_call_fails_it_and_is_met_again(
    tmp_path: Path, port: int
) -> None:
    async with AsyncExitStack() as first_life:
        server = await first_life.enter_async_context(http_server(port))
        async with mcp_host(tmp_path, reaching(server), timing=_QUICK_PROBE) as host:
            await host.until("connected")
            call = asyncio.ensure_future(host.call("hang"))
            await eventually(lambda: server.calls == ["hang"])
            await first_life.aclose()
            result = await call
            assert result.error is not None
            assert result.error.code == "connection_lost"
            await host.until("disconnected", error="it cannot be reached")
            with pytest.raises(UnavailableError, match="is not connected"):
                await host.call("echo")
            async with http_server(port):
                await host.until("connected")
                assert await host.output("echo") == "done"


async def test_a_server_that_takes_and_never_answers_is_noticed(tmp_path: Path) -> None:
    config = {"startup_timeout_ms": 2000}
    async with (
        http_server() as server,
        mcp_host(tmp_path, reaching(server, **config), timing=_QUICK_PROBE) as host,
    ):
        await host.until("connected")
        server.frozen = True
        await host.until("disconnected", error="")
        server.frozen = False
        await host.until("connected")


async def test_a_server_that_asks_for_a_login_is_left_alone_until_it_is_given_one(tmp_path: Path) -> None:
    async with http_server(wanted="Bearer hunter2hunter2") as server:
        servers = reaching(server)
        async with mcp_host(tmp_path, servers) as host:
            view = await host.until("needs_auth", error="it asks for a login (HTTP 401)")
            assert view.restarts == 0
            (problem,) = host.servers.problems()
            assert "`prx mcp login one`" in problem.action
            servers |= reaching(server, headers={"Authorization": "Bearer hunter2hunter2"})
            host.servers.reconfigured()
            await host.until("connected")
            assert await host.output("echo") == "done"
            server.wanted = "another one"
            with pytest.raises(UnavailableError, match="it refuses the authorization"):
                await host.call("echo")
            await host.until("needs_auth")
            (problem,) = host.servers.problems()
            assert "correct the authorization in headers of mcp.servers.one" in problem.action


async def test_nobody_listens(tmp_path: Path) -> None:
    servers = {"one": McpServerConfig(url="http://127.0.0.1:1/mcp")}
    async with mcp_host(tmp_path, servers, restarts=SLOW) as host:
        await host.until("disconnected", error="it cannot be reached")
        assert [problem.unit for problem in host.servers.problems()] == ["mcp.one"]


async def test_nothing_is_left_after_many_sessions(tmp_path: Path) -> None:
    async with http_server() as server, mcp_host(tmp_path, reaching(server)) as host:
        await host.until("connected")
        counts = []
        for _ in range(8):
            server.sessions.clear()
            assert await host.output("echo") == "done"
            counts.append(open_descriptors())
        assert host.view().restarts == 8
        await eventually(lambda: open_descriptors() <= counts[0] + 4)
