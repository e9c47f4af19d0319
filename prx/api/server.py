"""Serves the application over HTTP; what aiohttp refuses by itself has the envelope too."""

from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from prx.api.app import EDGE
from prx.api.deps import STREAMS
from prx.api.edge import Edge
from prx.core.errors import BadRequestError
from prx.runtime.logging import get_logger

_KEEPALIVE_SECS: Final = 75.0
_LEAST_DRAIN_SECS: Final = 0.01

_log = get_logger("api::server")


class ApiRunner(web.AppRunner):
    """Runs what `build_app` returns. A handler whose client has gone is cancelled."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float) -> None:
        """Give requests in flight `shutdown_timeout` seconds to finish when the runner is cleaned up."""
        super().__init__(
            app,
            # Failures are logged at the edge; a line for each request costs a fifth of the throughput.
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=_KEEPALIVE_SECS,
            shutdown_timeout=shutdown_timeout,
        )

    async def drain(self, within_secs: float) -> None:
        """End the streams, and let the other requests in flight finish within `within_secs`; the port stays open."""
        self.app[STREAMS].end()
        if self.server is not None:
            self.server.pre_shutdown()
            # aiohttp takes 0 for no limit at all.
            await self.server.shutdown(max(within_secs, _LEAST_DRAIN_SECS))

    async def shutdown(self) -> None:
        """End the streams before the connections are closed."""
        self.app[STREAMS].end()
        await super().shutdown()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(self.app[EDGE], server, **self._kwargs)


class _Server(web.Server):
    def __init__(self, edge: Edge, plain: web.Server, **kwargs: Any) -> None:
        super().__init__(self._answer, request_factory=plain.request_factory, **kwargs)
        self._handler = plain.request_handler
        self._edge = edge

    def __call__(self) -> web.RequestHandler:
        return _Connection(self._edge, self, loop=self._loop, **self._kwargs)

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
