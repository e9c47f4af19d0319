"""A server of language models on this machine: it speaks the real protocols, and says what a test wants it to."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Step = bytes | Callable[[web.Request, web.StreamResponse], Awaitable[None]]
"""Bytes to send, or something to do between them."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer over HTTP."""

    steps: Sequence[Step]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})

    def cut_after(self, steps: int, cut: Step) -> "Reply":
        """Return the first `steps` of it, and then `cut`."""
        return Reply([*self.steps[:steps], cut], self.status, self.headers)


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: Any


class ModelServer:
    """Answers each request with the next of `replies`."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.received: list[Received] = []
        self.left = asyncio.Event()
        """Set when a client went away in the middle of an answer."""
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.received.append(
            Received(request.path, request.headers.copy(), json.loads(body) if body else None)
        )
        reply = self.replies.popleft()
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        await response.prepare(request)
        try:
            for step in reply.steps:
                if isinstance(step, bytes):
                    await response.write(step)
                else:
                    await step(request, response)
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise
        if request.transport is not None:
            await response.write_eof()
        return response


async def hold(_request: web.Request, _response: web.StreamResponse) -> None:
    """Send nothing more for as long as the client waits."""
    await asyncio.get_running_loop().create_future()


async def drop(request: web.Request, _response: web.StreamResponse) -> None:
    """Break the connection."""
    assert request.transport is not None
    request.transport.abort()


async def finish(_request: web.Request, _response: web.StreamResponse) -> None:
    """End the answer as if it were whole."""


def json_reply(status: int, body: Any, **headers: str) -> Reply:
    """Return an answer that is no stream."""
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply([json.dumps(body).encode()], status, {"Content-Type": "application/json", **sent})


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """Serve for the length of the block."""
    server = ModelServer()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
