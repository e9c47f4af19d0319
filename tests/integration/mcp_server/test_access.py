"""The edge in front of `/mcp`: who gets in, what a token sees and calls, and how long."""

import asyncio
import io
from typing import Any

import pytest

from prx.core.tool import ToolResult
from tests.integration.api.api_harness import Scripted
from tests.integration.mcp_server.clients import ACCEPT, LEGACY, NEWEST, Port, Wire
from tests.integration.mcp_server.conftest import MakePort
from tests.support.waiting import PATIENCE_SECS, eventually

ERAS = [LEGACY, NEWEST]


def scoped(port: Port, *scopes: str) -> str:
    secret, _ = port.api.tokens.create("narrow", scopes=list(scopes))
    return secret


async def test_without_a_token_nobody_gets_in(port: Port) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = await port.api.call(method, "/mcp", token=None)
        assert (reply.status, reply.error["code"]) == (401, "unauthorized")
        assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_for_something_else_is_refused_with_the_scopes_it_lacks(port: Port) -> None:
    reply = await port.api.post("/mcp", token=scoped(port, "logs:read"))
    assert (reply.status, reply.error["code"]) == (403, "forbidden")
    assert "tools:read or tools:write" in reply.error["message"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_that_may_only_read_sees_the_tools_and_calls_none(port: Port, era: str) -> None:
    wire = await port.wire(era, token=scoped(port, "tools:read"))
    assert [tool["name"] for tool in (await wire.ask("tools/list"))["result"]["tools"]] == ["echo"]
    result = (await wire.call("echo", {"text": "x"}))["result"]
    assert result["isError"]
    assert result["content"][0]["text"] == 'Token "narrow" lacks the scope tools:write'
    assert result["_meta"]["prx/error"] == {"code": "forbidden", "details": {"scope": "tools:write"}}


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_that_may_only_call_sees_no_tools_and_calls_what_it_knows(port: Port, era: str) -> None:
    wire = await port.wire(era, token=scoped(port, "tools:write"))
    assert (await wire.ask("tools/list"))["result"]["tools"] == []
    assert (await wire.call("echo", {"text": "x"}))["result"]["content"][0]["text"] == "x"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:6274"}, 403),
        ({}, 200),
    ],
)
async def test_strange_hosts_and_pages_of_strange_origins_are_refused(
    port: Port, headers: dict[str, str], status: int
) -> None:
    wire = await port.wire(NEWEST)
    assert (await wire.send(wire.request("tools/list"), headers=headers)).status == status


async def test_a_page_of_an_allowed_origin_may_ask_and_read_the_session(port: Port) -> None:
    page = {"Origin": "https://app.example"}
    port.api.configure(cors={"allowed_origins": ["https://app.example"]})
    asked = {**page, "Access-Control-Request-Method": "POST"}
    preflight = await port.api.call("OPTIONS", "/mcp", token=None, headers=asked)
    assert preflight.status == 204
    assert "Mcp-Session-Id" in preflight.headers["Access-Control-Allow-Headers"]
    wire = await port.wire(NEWEST)
    answer = await wire.send(wire.request("tools/list"), headers=page)
    assert answer.status == 200
    assert "Mcp-Session-Id" in answer.headers["Access-Control-Expose-Headers"]


async def test_every_answer_is_dressed_like_those_of_the_api(port: Port) -> None:
    for era in ERAS:
        wire = await port.wire(era)
        asked = wire.request("tools/call", {"name": "echo", "arguments": {"text": "x"}})
        reply = await wire.send(asked, headers={"X-Request-Id": f"mine-{era}"})
        assert reply.headers["X-Request-Id"] == f"mine-{era}"
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_calls_beyond_the_rate_are_refused_with_the_time_to_wait(port: Port) -> None:
    wire = await port.wire(NEWEST)
    port.api.configure(rate_limits={"other": 2})
    replies = [await wire.send(wire.request("tools/list")) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[-1].headers["Retry-After"] == "1"


async def test_a_body_beyond_the_limit_is_refused(port: Port) -> None:
    wire = await port.wire(NEWEST)
    reply = await port.api.post("/mcp", data=io.BytesIO(b"x" * 1_100_000), headers=wire.headers("", {}))
    assert (reply.status, reply.error["code"]) == (413, "payload_too_large")


async def test_a_session_is_known_to_no_other_token(port: Port) -> None:
    owner = await port.wire(LEGACY)
    other = Wire(port, LEGACY, owner.session, token=scoped(port, "tools:read", "tools:write"))
    for request in (
        other.request("tools/list"),
        other.request("tools/call", {"name": "echo", "arguments": {"text": "x"}}),
    ):
        assert (await other.send(request)).status == 404
    assert (
        await port.api.call("DELETE", "/mcp", headers=other.headers("", {}), token=other.token)
    ).status == 404
    assert "result" in await owner.call("echo", {"text": "x"})


async def test_a_session_that_its_client_ended_is_gone(port: Port) -> None:
    wire = await port.wire(LEGACY)
    assert (await port.api.call("DELETE", "/mcp", headers=wire.headers("", {}))).status == 200
    for request in (
        wire.request("tools/list"),
        wire.request("tools/call", {"name": "echo", "arguments": {"text": "x"}}),
    ):
        assert (await wire.send(request)).status == 404


async def test_a_revoked_token_ends_its_sessions_and_streams(make_port: MakePort) -> None:
    port = await make_port(sweep_secs=0.01)
    secret, token = port.api.tokens.create("short-lived")
    legacy, newest = await port.wire(LEGACY, token=secret), await port.wire(NEWEST, token=secret)
    listening = asyncio.create_task(
        newest.send(newest.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}))
    )
    async with asyncio.timeout(PATIENCE_SECS), port.stream(legacy) as stream:
        await eventually(lambda: port.open_requests == 2)
        port.api.tokens.revoke(token.id)
        assert await stream.content.read() == b""
        await listening
    assert (await legacy.send(legacy.request("tools/list"))).status == 401
    assert port.open_sessions == 0


async def test_sessions_end_when_nobody_used_them_for_long(make_port: MakePort) -> None:
    port = await make_port(sweep_secs=0.01, clock=lambda: port.api.now)
    used, unused = await port.wire(LEGACY), await port.wire(LEGACY)
    listening = await port.wire(LEGACY)
    async with asyncio.timeout(PATIENCE_SECS), port.stream(listening):
        port.api.now += 1700
        await used.call("echo", {"text": "x"})
        port.api.now += 200
        await eventually(lambda: port.open_sessions == 2)
    assert (await unused.send(unused.request("tools/list"))).status == 404
    assert "result" in await used.ask("tools/list")
    assert "result" in await listening.ask("tools/list")


async def test_of_a_tokens_sessions_the_one_unused_for_longest_makes_room(make_port: MakePort) -> None:
    port = await make_port()
    first, second = await port.wire(LEGACY), await port.wire(LEGACY)
    await first.call("echo", {"text": "x"})
    for _ in range(63):
        await port.wire(LEGACY)
    assert port.open_sessions == 64
    assert (await second.send(second.request("tools/list"))).status == 404
    assert "result" in await first.ask("tools/list")


async def test_a_session_without_room_is_refused_and_other_tokens_have_their_own(make_port: MakePort) -> None:
    port = await make_port(max_per_token=1)
    busy = await port.wire(LEGACY)
    async with port.stream(busy):
        hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        wire = Wire(port, LEGACY)
        reply = await wire.send(wire.request("initialize", hello))
        assert (reply.status, reply.error["code"]) == (503, "unavailable")
        assert "1 MCP sessions are open" in reply.error["message"]
        await port.wire(LEGACY, token=port.api.tokens.create("another")[0])


@pytest.mark.parametrize("version", [None, LEGACY, "1999-01-01"])
async def test_requests_that_open_no_session_leave_none(port: Port, version: str | None) -> None:
    wire = Wire(port, version or "")
    headers = ACCEPT if version is None else wire.headers("", {})
    for body in (b"{", b"[]", b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', b"", b'"\xff"'):
        reply = await port.api.post("/mcp", data=body, headers=headers)
        assert reply.status == 400
    assert port.open_sessions == 0


async def test_calls_in_flight_end_and_streams_are_ended_when_the_daemon_stops(port: Port) -> None:
    started: list[str] = []
    go_on = asyncio.Event()

    async def wait() -> ToolResult:
        started.append("wait")
        await go_on.wait()
        return ToolResult(output="done")

    legacy, newest = await port.wire(LEGACY), await port.wire(NEWEST)
    listening = asyncio.create_task(
        newest.send(newest.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}))
    )
    with port.api.router.offering([Scripted("wait", wait)]):
        async with port.stream(legacy) as stream, asyncio.timeout(PATIENCE_SECS):
            calls = [asyncio.create_task(wire.call("wait", {}, number=9)) for wire in (legacy, newest)]
            await eventually(lambda: len(started) == len(calls))
            await asyncio.wait(calls, timeout=0.8)
            assert port.api.runner is not None
            drain = asyncio.create_task(port.api.runner.drain(20))
            await stream.content.read()
            # The newest version ends a subscription with a result.
            assert b'"id": 1' in (await listening).body or b'"id":1' in (await listening).body
            go_on.set()
            answers: list[Any] = await asyncio.gather(*calls)
            await drain
    assert [answer["result"]["content"][0]["text"] for answer in answers] == ["done", "done"]


async def test_calls_that_outlast_the_drain_are_cancelled_and_their_clients_told(port: Port) -> None:
    """At once, and when the SDK has taken them over."""
    ended: list[str] = []
    running: list[str] = []

    async def hang() -> ToolResult:
        running.append("hang")
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.append("hang")

    legacy, newest = await port.wire(LEGACY), await port.wire(NEWEST)
    with port.api.router.offering([Scripted("hang", hang)]):
        async with asyncio.timeout(PATIENCE_SECS):
            calls = [asyncio.create_task(wire.call("hang", {}, number=9)) for wire in (legacy, newest)]
            await eventually(lambda: port.open_requests == 2 and len(running) == 2)
            calls += [asyncio.create_task(wire.call("hang", {}, number=10)) for wire in (legacy, newest)]
            await eventually(lambda: len(running) == 4)
            assert port.api.runner is not None
            await port.api.runner.drain(0)
            answers: list[Any] = await asyncio.gather(*calls)
    assert ended == ["hang"] * 4
    assert [answer["id"] for answer in answers] == [9, 9, 10, 10]
    for answer in answers:
        assert answer["result"]["isError"]
        assert "The daemon stopped before this was done" in answer["result"]["content"][0]["text"]
        assert answer["result"]["_meta"]["prx/error"] == {"code": "unavailable"}
