"""What the emulated platforms share: a real HTTP server that a test stops, starts again, freezes and has refuse."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, Self

from aiohttp import web

from tests.support.servers.ports import reserved_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Json = dict[str, Any]

_SENDS = frozenset({"sendMessage", "messages", "chat.postMessage"})
"""What the addresses end in at which a bot says something."""


class PlatformServer:
    """One platform. Its state outlives its server, as that of a real one does."""

    def __init__(self) -> None:
        self.port = 0
        self._reserved = ExitStack()
        self._runner: web.AppRunner | None = None
        self._going = asyncio.Event()
        self._going.set()
        self._confirming = asyncio.Event()
        self._confirming.set()
        self._throttled: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.port = self._reserved.enter_context(reserved_port())
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()
        self._reserved.close()

    async def start(self) -> None:
        """Serve, on the same port each time."""

        @web.middleware
        async def _freezing(request: web.Request, handler: Handler) -> web.StreamResponse:
            await self._going.wait()
            response = await handler(request)
            await self._going.wait()
            if request.method == "POST" and request.path.rpartition("/")[2] in _SENDS:
                await self._confirming.wait()
            return response

        app = web.Application(middlewares=[_freezing], client_max_size=1 << 27)
        self.route(app.router)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        """Be gone, as a server that was killed: each connection is closed at once."""
        self._going.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            if runner.server is not None:
                for connection in runner.server.connections:
                    if (transport := connection.transport) is not None:
                        transport.abort()
            await runner.cleanup()
        self.stopped()

    def freeze(self) -> None:
        """Be there and say nothing more, as a server that was stopped with SIGSTOP."""
        self._going.clear()

    def thaw(self) -> None:
        """Go on where `freeze` left off."""
        self._going.set()

    def withhold(self) -> None:
        """Take messages from now on without saying so."""
        self._confirming.clear()

    def confirm(self) -> None:
        """Say again which messages were taken."""
        self._confirming.set()

    def throttle(self, *retry_after_secs: float) -> None:
        """Refuse as many sends from now on, each with what it says about when to try again."""
        self._throttled.extend(retry_after_secs)

    def throttled(self) -> float | None:
        """Return what the send that just came is to be refused with, if it is."""
        return self._throttled.pop(0) if self._throttled else None

    async def going(self) -> None:
        """Wait while the server is frozen: for what goes on outside of an answer."""
        await self._going.wait()

    def stopped(self) -> None:
        """End what goes on outside of answers."""

    def route(self, router: web.UrlDispatcher) -> None:
        """Say who answers what."""
        raise NotImplementedError


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return JSON with the bare content type, which is all that discord.py reads as JSON."""
    return web.Response(
        body=json.dumps(body).encode(), status=status, headers=headers, content_type="application/json"
    )


async def fields_of(request: web.Request) -> tuple[Json, dict[str, bytes]]:
    """Return what a request says, in whichever way it says it, and its files by field."""
    fields: Json = dict(request.query)
    files: dict[str, bytes] = {}
    if request.content_type == "application/json":
        fields |= await request.json()
    elif request.content_type.startswith(("multipart/", "application/x-www-form-urlencoded")):
        for key, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[key] = value.file.read()
                fields[f"{key}.name"] = value.filename
                value.file.close()
            else:
                fields[key] = value.decode() if isinstance(value, (bytes, bytearray)) else value
    return fields, files
