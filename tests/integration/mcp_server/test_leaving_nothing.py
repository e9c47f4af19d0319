"""Clients come, break off and go by the hundred, and leave nothing behind."""

import asyncio
import gc
import json

import pytest

from prx.core.tool import ToolResult
from tests.integration.api.api_harness import Scripted
from tests.integration.mcp_server.clients import LEGACY, NEWEST, Port
from tests.integration.mcp_server.test_both_eras import Slow
from tests.support.waiting import PATIENCE_SECS, eventually


def tasks() -> int:
    return len(asyncio.all_tasks())


@pytest.mark.parametrize("era", [LEGACY, NEWEST])
async def test_clients_that_break_off_leave_no_task_and_no_request(port: Port, era: str) -> None:
    slow = Slow()
    wire = await port.wire(era)
    with port.api.router.offering([slow]):
        await wire.call("echo", {"text": "x"})
        await eventually(lambda: port.open_requests == 0)
        before = tasks()
        for wait in (0.0, 0.6):  # within the first moment of a call, and after it
            calls = [asyncio.create_task(wire.call("slow", {}, number=100 + n)) for n in range(20)]
            await asyncio.wait(calls, timeout=wait)
            await eventually(lambda: slow.runs in (20, 40))
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        slow.go_on.set()
        await eventually(lambda: port.open_requests == 0)
        await eventually(lambda: tasks() <= before)


async def test_sessions_that_were_ended_leave_nothing(port: Port) -> None:
    await port.wire(NEWEST)
    first = await port.wire(LEGACY)
    await first.ask("tools/list")
    await eventually(lambda: port.open_requests == 0)
    before, kept = tasks(), port.kept_events
    for _ in range(50):
        wire = await port.wire(LEGACY)
        await wire.ask("tools/list")
        async with port.stream(wire):
            ended = await port.api.call("DELETE", "/mcp", headers=wire.headers("", {}))
            assert ended.status == 200
    await eventually(lambda: port.open_requests == 0)
    await eventually(lambda: tasks() <= before)
    assert (port.open_sessions, port.kept_events) == (1, kept)


async def test_a_client_that_reads_nothing_holds_up_nobody(port: Port) -> None:
    """Its stream is open and full; the tools change all the while."""

    async def nothing() -> ToolResult:
        return ToolResult()

    stalled, lively = await port.wire(LEGACY), await port.wire(LEGACY)
    async with port.stream(stalled) as unread, port.stream(lively) as read:
        assert unread.status == 200
        for _ in range(5):
            with port.api.router.offering([Scripted("new", nothing)]):
                async with asyncio.timeout(PATIENCE_SECS):
                    while b"list_changed" not in await read.content.readline():
                        pass
                    assert "result" in await stalled.ask("tools/list")


async def test_the_unit_that_is_stopped_ends_everything(port: Port) -> None:
    slow = Slow()
    legacy, newest = await port.wire(LEGACY), await port.wire(NEWEST)
    listen = newest.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    with port.api.router.offering([slow]):
        async with port.stream(legacy) as stream, asyncio.timeout(PATIENCE_SECS):
            waiting = [
                asyncio.create_task(newest.send(listen)),
                asyncio.create_task(
                    legacy.send(legacy.request("tools/call", {"name": "slow", "arguments": {}}, 9))
                ),
            ]
            await asyncio.wait(waiting, timeout=0.8)
            await port.api.supervisor.restart("gateway.mcp")
            await stream.content.read()
            await asyncio.wait(waiting)
            await slow.cancelled.wait()
            await port.api.supervisor.wait("gateway.mcp", {"running"}, 30)
    gc.collect()
    assert (await legacy.send(legacy.request("tools/list"))).status == 404
    assert json.loads((await newest.send(newest.request("tools/list"))).body)["result"]["tools"]
