"""A client that lost its connection comes back for what it missed: its own, and nothing of anybody else's."""

import asyncio
import json

from aiohttp import ClientResponse

from prx.core.tool import ToolResult
from tests.integration.api.api_harness import Scripted
from tests.integration.mcp_server.clients import LEGACY, Port, Wire
from tests.integration.mcp_server.test_both_eras import Slow
from tests.support.waiting import PATIENCE_SECS, eventually


async def next_event(stream: ClientResponse) -> dict[str, str]:
    """Return the fields of the next event."""
    fields: dict[str, str] = {}
    while line := (await stream.content.readline()).decode().rstrip("\r\n"):
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.strip()
    return fields


async def begun_call(wire: Wire, number: int) -> ClientResponse:
    """Send a call of `slow`, and return its answer as soon as it has begun to come."""
    assert wire.port.api.session is not None
    headers = wire.headers("", {}) | {"Authorization": f"Bearer {wire.port.api.token}"}
    body = json.dumps(wire.request("tools/call", {"name": "slow", "arguments": {}}, number))
    return await wire.port.api.session.post(wire.port.url, data=body, headers=headers)


async def test_the_answer_of_a_call_whose_connection_was_lost_is_told_to_who_comes_back(port: Port) -> None:
    slow = Slow()
    wire = await port.wire(LEGACY)
    with port.api.router.offering([slow]):
        async with asyncio.timeout(PATIENCE_SECS):
            answer = await begun_call(wire, 5)
            first = await next_event(answer)
            assert first["id"]
            assert first["retry"] == "1000"
            answer.close()
            async with port.stream(wire, last_event=first["id"]) as again:
                slow.go_on.set()
                while "data" not in (event := await next_event(again)) or not event["data"]:
                    pass
    message = json.loads(event["data"])
    assert (message["id"], message["result"]["content"][0]["text"]) == (5, "done")
    assert slow.runs == 1


async def test_what_was_answered_while_nobody_listened_is_told_again(port: Port) -> None:
    slow = Slow()
    wire = await port.wire(LEGACY)
    with port.api.router.offering([slow]):
        async with asyncio.timeout(PATIENCE_SECS):
            answer = await begun_call(wire, 5)
            first = await next_event(answer)
            answer.close()
            await eventually(lambda: port.open_requests == 0)
            slow.go_on.set()
            await eventually(lambda: port.kept_events >= 2)
            for _ in range(2):  # as often as it is asked for
                async with port.stream(wire, last_event=first["id"]) as again:
                    event = await next_event(again)
                    assert json.loads(event["data"])["result"]["content"][0]["text"] == "done"


async def test_events_of_another_session_are_unknown_even_to_the_same_token(port: Port) -> None:
    slow = Slow()
    with port.api.router.offering([slow]):
        owner, other = await port.wire(LEGACY), await port.wire(LEGACY)
        async with asyncio.timeout(PATIENCE_SECS):
            # Both use the same ids for their requests, as clients count them.
            answers = [await begun_call(wire, 1) for wire in (owner, other)]
            firsts = [await next_event(answer) for answer in answers]
            for answer in answers:
                answer.close()
            await eventually(lambda: port.open_requests == 0)
            slow.go_on.set()
            await eventually(lambda: port.kept_events >= 6)
            async with port.stream(other, last_event=firsts[0]["id"]) as stream:
                assert await stream.content.read() == b""
            async with port.stream(owner, last_event=firsts[0]["id"]) as stream:
                assert '"done"' in (await next_event(stream))["data"]


async def test_a_change_while_no_stream_was_open_is_told_once_one_is(port: Port) -> None:
    async def nothing() -> ToolResult:
        return ToolResult()

    wire = await port.wire(LEGACY)
    with port.api.router.offering([Scripted("new", nothing)]):
        await eventually(lambda: port.kept_events >= 1)
        await eventually(lambda: port.session_of(wire)._missed)
        async with asyncio.timeout(PATIENCE_SECS), port.stream(wire) as stream:
            event = await next_event(stream)
    assert json.loads(event["data"])["method"] == "notifications/tools/list_changed"
