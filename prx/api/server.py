"""Serves the application over HTTP; what aiohttp refuses by itself has the envelope too.

Connections are bounded: beyond the bound the one that has been idle for longest makes room, so that whoever opens many
and sends nothing takes neither the port nor the daemon's files from the others.
"""

import asyncio
import resource
from contextlib import suppress
from typing import Any, Final

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from prx.api.app import EDGE
from prx.api.deps import MCP, SOCKETS, STREAMS
from prx.api.edge import Edge
from prx.core.errors import BadRequestError
from prx.runtime.logging import get_logger

_KEEPALIVE_SECS: Final = 75.0
_LAST_ANSWERS_SECS: Final = 2.0
_MAX_CONNECTIONS: Final = 4096
_TOLD_EVERY_SECS: Final = 60.0

_log = get_logger("api::server")


class ApiRunner(web.AppRunner):
    """Runs what `build_app` returns. A handler whose client has gone is cancelled."""

    def __init__(
        self, app: web.Application, *, shutdown_timeout: float, max_connections: int | None = None
    ) -> None:
        """Give requests that are given up when the runner is cleaned up `shutdown_timeout` seconds to be answered.

        `max_connections` is by default 4096, or half of the files that the process may have open.
        """
        self._max_connections = max_connections or _most_connections()
        super().__init__(
            app,
            # A compressed body is refused at the edge: unpacking what nobody reads would cost more than it has bytes.
            auto_decompress=False,
            # Failures are logged at the edge; a line for each request costs a fifth of the throughput.
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=_KEEPALIVE_SECS,
            shutdown_timeout=shutdown_timeout,
        )

    async def drain(self, within_secs: float) -> None:
        """End the streams, and let the other requests in flight finish; the port stays open.

        What is not done `within_secs` is given up, and answered so.
        """
        self.app[STREAMS].drain()
        self.app[SOCKETS].drain()
        self.app[MCP].end_streams()
        if self.server is None:
            return
        self.server.pre_shutdown()
        cutting_off = asyncio.get_running_loop().call_later(within_secs, self._cut_off)
        try:
            # What does not even end when it is given up is left to `cleanup`. aiohttp's own limit it keeps twice.
            with suppress(TimeoutError):
                async with asyncio.timeout(within_secs + _LAST_ANSWERS_SECS):
                    await self.server.shutdown(None)
        finally:
            cutting_off.cancel()

    async def shutdown(self) -> None:
        """End the streams, and give up what is in flight still, before the connections are closed."""
        self.app[STREAMS].end()
        self.app[SOCKETS].drain()
        self.app[MCP].end_streams()
        self._cut_off()
        await super().shutdown()

    def _cut_off(self) -> None:
        self.app[EDGE].cut_off()
        self.app[MCP].end_calls()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(self.app[EDGE], server, self._max_connections, **self._kwargs)


def _broken_body() -> web.RequestPayloadError:
    return web.RequestPayloadError("the body is not what its headers announced")


def _most_connections() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(_MAX_CONNECTIONS, max(1, files // 2))


class _Server(web.Server):
    def __init__(self, edge: Edge, plain: web.Server, max_connections: int, **kwargs: Any) -> None:
        super().__init__(self._answer, request_factory=plain.request_factory, **kwargs)
        self._handler = plain.request_handler
        self._edge = edge
        self._max_connections = max_connections
        self._tell_at = 0.0

    def __call__(self) -> web.RequestHandler:
        return _Connection(self._edge, self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection; beyond the bound for the one that has been idle for longest, itself where none is."""
        super().connection_made(handler, transport)
        if len(self._connections) <= self._max_connections:
            return
        now = self._loop.time()
        if now >= self._tell_at:
            self._tell_at = now + _TOLD_EVERY_SECS
            _log.warning("too many connections: idle ones are closed", most=self._max_connections)
        idle = (each for each in self.connections if isinstance(each, _Connection) and each.is_idle)
        min(idle, key=_Connection.idle_until, default=handler).force_close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._handler(request)
        except web.HTTPException as error:
            # What aiohttp refuses by itself, such as a path or an expectation that it does not know.
            assert isinstance(request, web.Request)  # noqa: S101 - no others get as far as the application
            return await self._edge.turn_away(error, request)


class _Connection(web.RequestHandler):
    __slots__ = ("_edge",)

    def __init__(self, edge: Edge, server: web.Server, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._edge = edge

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self._waiter is not None and not self._force_close

    def idle_until(self) -> float:
        """Return when it would be closed for sending nothing."""
        return self._next_keepalive_close_time

    def data_received(self, data: bytes) -> None:
        """Take bytes; see to the body of the request in flight where aiohttp does not."""
        request = self._current_request
        if self._takes_no_more and request is not None and self._parser is not None:
            # The daemon drains, and lets this request finish: for that the rest of its body has to come.
            try:
                self._parser.feed_data(data)
            except HttpProcessingError:
                request.content.set_exception(_broken_body())
            return
        super().data_received(data)
        if (
            request is not None
            and self._messages
            and not isinstance(self._messages[-1][0], RawRequestMessage)
        ):
            # It breaks off in bytes that are none; whoever reads it would wait for ever.
            request.content.set_exception(_broken_body())

    @property
    def _takes_no_more(self) -> bool:
        # Of HTTP, that is: what an upgraded connection carries has no body to wait for.
        closing = (self._close or self._force_close) and self.transport is not None
        return closing and not self._upgraded

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a fault of the daemon; a body that its sender did not send as announced is none."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # aiohttp's signature
    ) -> web.StreamResponse:
        """Answer bytes that are not HTTP, without repeating them, and what fails outside the edge."""
        if request.writer.output_size > 0:
            raise ConnectionError(
                "the answer has begun already; only closing the connection is left"
            ) from exc
        if isinstance(exc, HttpProcessingError):
            # Not with aiohttp's message: it repeats the line, and that may hold a token.
            kind = type(exc).__name__
            _log.debug("bytes that are not HTTP", peer=request.remote, status=status, kind=kind)
            exc = BadRequestError("The request is not valid HTTP, or a line of it is too long")
        response = self._edge.refuse(request, exc if isinstance(exc, Exception) else TimeoutError())
        response.force_close()
        return response
