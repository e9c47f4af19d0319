"""An MCP server over streamable HTTP, on a real socket, that answers as the tool that is called says."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOOLS = (
    "echo",
    "hang",
    "drip",
    "cut",
    "resume",
    "large",
    "html",
    "refused",
    "broken",
    "bare",
    "gone",
    "rubbish",
    "scoped",
)


# Answers that are none, whatever was asked.
_PLAIN: dict[str, Callable[[], web.Response]] = {
    "html": lambda: web.Response(text="<h1>Welcome</h1>", content_type="text/html"),
    "refused": lambda: web.json_response(
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "no such city"}}, status=400
    ),
    "broken": lambda: web.Response(status=500, text="oops"),
    "scoped": lambda: web.Response(
        status=403, headers={"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="read write"'}
    ),
    "bare": lambda: web.Response(status=202),
    "rubbish": lambda: web.Response(text="{not json", content_type="application/json"),
}


@dataclass
class HttpServer:
    """What a test sees of it, and sets."""

    port: int = 0
    sessions: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    streams: list[web.StreamResponse] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    """Answers for streams that are resumed, by the event that they follow."""
    wanted: str | None = None
    """What the header `Authorization` has to be."""
    guard: Callable[[web.Request], web.Response | None] | None = None
    """Answers in its place whom it does not let in."""
    frozen: bool = False
    """Whether requests are taken and nothing is answered, as by a machine that has gone."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def push(self, method: str) -> None:
        """Tell every listening client something."""
        for stream in self.streams:
            await stream.write(_event({"jsonrpc": "2.0", "method": method}))

    async def post(self, request: web.Request) -> web.StreamResponse:
        message = await request.json()
        if self.frozen:
            await asyncio.Event().wait()
        if self.guard is not None and (refusal := self.guard(request)) is not None:
            return refusal
        if self.wanted is not None and request.headers.get("Authorization") != self.wanted:
            return web.Response(status=401)
        if message["method"] == "initialize":
            return self._welcome(message)
        session = request.headers.get("Mcp-Session-Id")
        if session is None:
            return web.json_response({"error": "no session"}, status=400)
        if session not in self.sessions:
            return web.Response(status=404)
        if message["method"] == "notifications/cancelled":
            self.cancelled.append(message["params"]["requestId"])
        if "id" not in message:
            return web.Response(status=202)
        return await self._answer(request, message)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Open the stream of what is told unasked, or go on with one that broke off."""
        if self.guard is not None and (refusal := self.guard(request)) is not None:
            return refusal
        stream = await _stream(request)
        if (last := request.headers.get("Last-Event-Id")) in self.kept:
            await stream.write(_event(self.kept.pop(last)))
            return stream
        self.streams.append(stream)
        try:
            await asyncio.Event().wait()
        finally:
            self.streams.remove(stream)
        return stream

    async def delete(self, request: web.Request) -> web.StreamResponse:
        self.ended.append(request.headers["Mcp-Session-Id"])
        return web.Response()

    def _welcome(self, message: Any) -> web.Response:
        session = secrets.token_hex(8)
        self.sessions.add(session)
        about = {"name": "http", "version": "1"}
        capabilities = {"tools": {"listChanged": True}}
        result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": about}
        return web.json_response(_result(message, result), headers={"Mcp-Session-Id": session})

    async def _answer(self, request: web.Request, message: Any) -> web.StreamResponse:
        match message["method"]:
            case "tools/list":
                listed = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
                return web.json_response(_result(message, {"tools": listed}))
            case "tools/call":
                self.calls.append(message["params"]["name"])
                return await self._call(request, message)
            case "ping":
                return web.json_response(_result(message, {}))
        error = {"code": -32601, "message": "Method not found"}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error})

    async def _call(self, request: web.Request, message: Any) -> web.StreamResponse:
        done = _result(message, {"content": [{"type": "text", "text": "done"}]})
        match message["params"]["name"]:
            case "hang":
                await asyncio.Event().wait()
            case "drip":
                stream = await _stream(request)
                while True:
                    await stream.write(b":\n")
                    await asyncio.sleep(0.01)  # a slow one is what this is
            case "cut":
                stream = await _stream(request)
                await stream.write(b"event: message\ndata: {")
                return stream
            case "resume":
                self.kept["event-1"] = done
                stream = await _stream(request)
                await stream.write(b"id: event-1\nretry: 10\nevent: message\ndata:\n\n")
                return stream
            case "large":
                return web.json_response(
                    _result(message, {"content": [{"type": "text", "text": "x" * 9_000_000}]})
                )
            case "gone":
                raise web.HTTPTemporaryRedirect("http://elsewhere.example/mcp")
            case name if name in _PLAIN:
                return _PLAIN[name]()
        stream = await _stream(request)
        await stream.write(_event(done))
        return stream


async def _stream(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    return stream


def _event(message: Any) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


def _result(message: Any, result: Any) -> Any:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


@asynccontextmanager
async def http_server(
    port: int = 0, routes: Sequence[web.RouteDef] = (), **settings: Any
) -> AsyncIterator[HttpServer]:
    """Serve on `port`, and `routes` beside it, for the length of the block; its end is sudden."""
    server = HttpServer(**settings)
    app = web.Application()
    app.add_routes(routes)
    app.router.add_post("/mcp", server.post)
    app.router.add_get("/mcp", server.get)
    app.router.add_delete("/mcp", server.delete)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        with suppress(TimeoutError):
            await runner.cleanup()
