"""How many connections there may be, and which has to go when there are more."""

import asyncio
from contextlib import AsyncExitStack

from prx.api.app import build_app
from prx.core.tool import ToolResult
from tests.integration.api.api_harness import Api, Scripted, deps_of, serving


async def test_beyond_the_bound_of_connections_the_longest_idle_one_is_closed(api: Api) -> None:
    request = b"GET /api/v1/status/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(api, build_app(deps_of(api)), max_connections=3), AsyncExitStack() as opened:

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            opened.callback(writer.close)
            writer.write(request)
            await reader.readuntil(b"}")
            return reader, writer

        first, second, third = [await connect() for _ in range(3)]
        first[1].write(request)  # it is the second now that has been idle for longest
        await first[0].readuntil(b"}")
        fourth = await connect()
        assert await second[0].read() == b""
        for reader, writer in (first, third, fourth):
            writer.write(request)
            assert b"200" in await reader.readuntil(b"}")


async def test_requests_in_flight_are_not_cut_off_for_new_connections(api: Api) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> ToolResult:
        begun.set()
        await go_on.wait()
        return ToolResult(output="done")

    with api.router.offering([Scripted("slow", wait)]):
        async with serving(api, build_app(deps_of(api)), max_connections=1):
            call = asyncio.create_task(api.post("/api/v1/tools/slow/call", json={}))
            await begun.wait()
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            go_on.set()
            assert (await call).json()["output"] == "done"
