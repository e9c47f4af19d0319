"""The SDK's own client lists and calls, in both eras, on the short way of calls and on the SDK's."""

import asyncio
from typing import Any

import pytest
from mcp import MCPError
from mcp_types import ToolListChangedNotification

from prx.core.errors import ConflictError, ForbiddenError
from prx.core.tool import CallContext, ToolFailure, ToolResult, ToolSpec
from tests.integration.api.api_harness import Scripted
from tests.integration.mcp_server.clients import LEGACY, NEWEST, Port
from tests.support.waiting import PATIENCE_SECS

MODES = ["legacy", NEWEST, "auto"]
ERAS = [LEGACY, NEWEST]


class Slow:
    """A tool that runs until the test lets it end, and tells its progress."""

    spec = ToolSpec("slow", "Takes its time", {"type": "object"}, "builtin")

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.runs = 0

    async def call(self, _arguments: Any, context: CallContext) -> ToolResult:
        self.runs += 1
        self.started.set()
        if context.progress is not None:
            for done in range(3):
                context.progress(done, 3, f"step {done}")
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return ToolResult(output="done")


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_lists_and_calls_what_the_router_has(port: Port, mode: str) -> None:
    async with port.client(mode) as client:
        if mode != NEWEST:
            assert client.server_info is not None
            assert (client.server_info.name, client.server_info.title) == ("prx", "PRX")
            assert client.server_capabilities.tools is not None
            assert client.server_capabilities.tools.list_changed
        [tool] = (await client.list_tools()).tools
        assert (tool.name, tool.description) == ("echo", "Give back a text")
        assert tool.input_schema["required"] == ["text"]
        result = await client.call_tool("echo", {"text": "hällo"})
        assert not result.is_error
        assert [item.text for item in result.content] == ["hällo"]  # type: ignore[union-attr]
        assert result.meta is not None
        assert result.meta["prx/receipt"]["host_calls"] == 2


@pytest.mark.parametrize("era", ERAS)
async def test_arguments_that_do_not_fit_are_a_result_that_says_which(port: Port, era: str) -> None:
    wire = await port.wire(era)
    result = (await wire.call("echo", {"text": 3}))["result"]
    assert result["isError"]
    assert result["content"][0]["text"].startswith('Tool "echo": arguments.text:')
    assert result["_meta"]["prx/error"]["code"] == "bad_request"
    assert result["_meta"]["prx/error"]["details"]["errors"][0]["field"] == "arguments.text"


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_that_fails_is_a_result_with_its_reason_and_code(port: Port, era: str) -> None:
    wire = await port.wire(era)
    result = (await wire.call("echo", {"text": "no luck", "fail": "trap"}))["result"]
    assert result["isError"]
    assert result["content"] == [{"type": "text", "text": "no luck"}]
    assert result["_meta"]["prx/error"] == {"code": "trap"}
    assert result["_meta"]["prx/receipt"]["host_calls"] == 2


@pytest.mark.parametrize("era", ERAS)
async def test_an_unknown_tool_is_an_error_of_the_protocol(port: Port, era: str) -> None:
    wire = await port.wire(era)
    assert (await wire.call("nonesuch", {}))["error"] == {"code": -32602, "message": "Unknown tool: nonesuch"}


@pytest.mark.parametrize("era", ERAS)
async def test_what_the_router_refuses_is_a_result_that_says_why(port: Port, era: str) -> None:
    async def vetoed() -> ToolResult:
        raise ForbiddenError("plugin:guard vetoed it")

    wire = await port.wire(era)
    with port.api.router.offering([Scripted("guarded", vetoed)]):
        result = (await wire.call("guarded", {}))["result"]
    assert (result["isError"], result["content"][0]["text"]) == (True, "plugin:guard vetoed it")
    with port.api.router.withholding(["off"], 'plugin "off" is disabled'):
        result = (await wire.call("off", {}))["result"]
    assert result["_meta"]["prx/error"]["code"] == ConflictError.code


@pytest.mark.parametrize("era", ERAS)
async def test_a_fault_of_the_daemon_tells_the_client_where_to_look_and_nothing_more(
    port: Port, era: str
) -> None:
    async def broken() -> ToolResult:
        raise RuntimeError("the secret is hunter2")

    wire = await port.wire(era)
    with port.api.router.offering([Scripted("broken", broken)]):
        reply = await wire.send(
            wire.request("tools/call", {"name": "broken", "arguments": {}}),
            headers={"X-Request-Id": "find-me"},
        )
    assert b"hunter2" not in reply.body
    assert b"under request id find-me" in reply.body


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("output", "shown", "structured"),
    [
        ("text", "text", None),
        ({"a": [1, 2.5, None]}, '{"a":[1,2.5,null]}', {"a": [1, 2.5, None]}),
        ([1, 2], "[1,2]", None),
        ({"x": float("nan")}, '{"x":null}', {"x": None}),
        (None, None, None),
        (False, "false", None),
    ],
)
async def test_values_are_text_and_objects_are_structured_too(
    port: Port, era: str, output: Any, shown: str | None, structured: Any
) -> None:
    async def give() -> ToolResult:
        return ToolResult(output=output)

    wire = await port.wire(era)
    with port.api.router.offering([Scripted("give", give)]):
        result = (await wire.call("give", {}))["result"]
    assert [item["text"] for item in result["content"]] == ([] if shown is None else [shown])
    assert result.get("structuredContent") == structured
    assert not result.get("isError", False)


@pytest.mark.parametrize("era", ERAS)
async def test_a_failure_with_output_shows_both(port: Port, era: str) -> None:
    async def half() -> ToolResult:
        return ToolResult("half of it", ToolFailure("tool_error", "then it broke"))

    wire = await port.wire(era)
    with port.api.router.offering([Scripted("half", half)]):
        result = (await wire.call("half", {}))["result"]
    assert [item["text"] for item in result["content"]] == ["half of it", "then it broke"]


@pytest.mark.parametrize("era", ERAS)
async def test_an_mcp_servers_result_passes_whole(port: Port, era: str) -> None:
    raw = {
        "content": [
            {"type": "image", "data": "AAAA", "mimeType": "image/png"},
            {"type": "text", "text": "x"},
        ],
        "structuredContent": {"n": 1},
        "isError": False,
        "_meta": {"theirs": 1},
    }

    async def give() -> ToolResult:
        return ToolResult(output="x", raw=raw)

    wire = await port.wire(era)
    with port.api.router.offering([Scripted("give", give)]):
        result = (await wire.call("give", {}))["result"]
    assert result["content"] == raw["content"]
    assert result["structuredContent"] == raw["structuredContent"]
    assert result["_meta"]["theirs"] == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_takes_long_goes_on_with_the_sdk_and_runs_once(port: Port, mode: str) -> None:
    slow = Slow()
    with port.api.router.offering([slow]):
        async with port.client(mode) as client:
            call = asyncio.create_task(client.call_tool("slow", {}))
            await slow.started.wait()
            done, _ = await asyncio.wait({call}, timeout=0.8)  # longer than the short way waits
            assert not done
            slow.go_on.set()
            assert (await call).content[0].text == "done"  # type: ignore[union-attr]
    assert slow.runs == 1


@pytest.mark.parametrize("mode", MODES)
async def test_progress_reaches_the_client_that_asked_for_it_before_the_answer(port: Port, mode: str) -> None:
    slow = Slow()
    slow.go_on.set()
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    with port.api.router.offering([slow]):
        async with port.client(mode) as client:
            await client.call_tool("slow", {}, progress_callback=hear)
    assert told == [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")]


@pytest.mark.parametrize("wait", [0.0, 0.8], ids=["at once", "later"])
async def test_a_client_that_cancels_its_call_cancels_the_tool(port: Port, wait: float) -> None:
    slow = Slow()
    with port.api.router.offering([slow]):
        wire = await port.wire(LEGACY)
        call = asyncio.create_task(wire.call("slow", {}, number=7))
        await slow.started.wait()
        await asyncio.wait({call}, timeout=wait)
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        assert (await wire.send(cancel)).status == 202
        assert (await call)["error"] == {"code": -32800, "message": "Request cancelled"}
        await slow.cancelled.wait()


@pytest.mark.parametrize("wait", [0.0, 0.8], ids=["at once", "later"])
async def test_in_the_newest_version_closing_the_connection_cancels_the_call(port: Port, wait: float) -> None:
    slow = Slow()
    with port.api.router.offering([slow]):
        wire = await port.wire(NEWEST)
        call = asyncio.create_task(wire.call("slow", {}))
        await slow.started.wait()
        await asyncio.wait({call}, timeout=wait)
        call.cancel()
        await asyncio.wait({call})
        async with asyncio.timeout(PATIENCE_SECS):
            await slow.cancelled.wait()


async def test_in_older_versions_a_lost_connection_leaves_the_call_running(port: Port) -> None:
    slow = Slow()
    with port.api.router.offering([slow]):
        wire = await port.wire(LEGACY)
        call = asyncio.create_task(wire.call("slow", {}))
        await slow.started.wait()
        call.cancel()
        await asyncio.wait({call})
        # Another request on a new connection shows that the daemon has noticed.
        assert "result" in await wire.call("echo", {"text": "x"}, number=2)
        assert not slow.cancelled.is_set()
        slow.go_on.set()


async def test_a_change_of_the_tools_is_announced_to_older_clients(port: Port) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            told.put_nowait(message)

    async with port.client("legacy", message_handler=hear) as client, asyncio.timeout(PATIENCE_SECS):
        await client.list_tools()
        async with _offered(port, told, "one"):
            assert [tool.name for tool in (await client.list_tools()).tools] == ["echo", "one"]
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo"]


async def test_a_change_of_the_tools_is_announced_to_subscribers_of_the_newest_version(port: Port) -> None:
    async with (
        asyncio.timeout(PATIENCE_SECS),
        port.client(NEWEST) as client,
        client.listen(tools_list_changed=True) as news,
    ):
        slow = Slow()
        with port.api.router.offering([slow]):
            await anext(aiter(news))
            assert [tool.name for tool in (await client.list_tools()).tools] == ["echo", "slow"]
        await anext(aiter(news))
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo"]


async def test_a_client_that_asks_for_an_unknown_method_is_told_so(port: Port) -> None:
    async with port.client("legacy") as client:
        with pytest.raises(MCPError, match="Method not found"):
            await client.list_prompts()


class _offered:  # noqa: N801 - reads as the block that it is
    """Offer a tool for the length of the block, and wait for each announcement."""

    def __init__(self, port: Port, told: asyncio.Queue[Any], name: str) -> None:
        async def nothing() -> ToolResult:
            return ToolResult()

        self._told = told
        self._offering = port.api.router.offering([Scripted(name, nothing)])

    async def __aenter__(self) -> None:
        # The stream on which it is told may not be open yet: what was told before is told again when it is.
        self._offering.__enter__()
        await self._told.get()

    async def __aexit__(self, *failure: object) -> None:
        self._offering.__exit__(None, None, None)
        await self._told.get()
