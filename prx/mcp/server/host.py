"""The unit that serves `/mcp`: it begins a life of the MCP server, and lets requests through to it."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import sse_starlette.sse
from aiohttp import web

from prx.core.errors import UnavailableError
from prx.core.upstream import Upstreams
from prx.mcp.server.exchange import Exchange
from prx.mcp.server.life import Life
from prx.mcp.server.sessions import Sessions
from prx.runtime.logging import quieten
from prx.runtime.tools import ToolRouter

_SWEEP_SECS: Final = 5.0

quieten("mcp", "sse_starlette")


class Host:
    """The unit that serves `/mcp`; it is made, and the SDK imported, when somebody asks for the first time."""

    name = "gateway.mcp"

    def __init__(
        self,
        router: ToolRouter,
        upstreams: Upstreams | None,
        *,
        quick_secs: float,
        sweep_secs: float = _SWEEP_SECS,
        clock: Callable[[], float] = time.monotonic,
        **bounds: Any,
    ) -> None:
        """Serve what `router` has.

        Args:
            router: what can be called.
            upstreams: the MCP servers whose prompts and resources are passed on, where there may be any.
            quick_secs: see `LeanPath`.
            sweep_secs: how often sessions and streams are looked at.
            clock: gives seconds and never goes back.
            bounds: those of `Sessions`.
        """
        self._router = router
        self._upstreams = upstreams
        self._quick_secs = quick_secs
        self._sweep_secs = sweep_secs
        self._sessions = partial(Sessions, clock=clock, **bounds)
        self._life: Life | None = None

    @property
    def serving(self) -> bool:
        """Whether requests can be answered now."""
        return self._life is not None

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        # Its own watcher asks twice a second, for ever and owned by nobody, whether uvicorn ends: there is none.
        sse_starlette.sse._get_shutdown_state().watcher_started = True  # noqa: SLF001
        life = Life(self._router, self._upstreams, self._quick_secs, self._sessions)
        async with life.manager.run():
            try:
                with life.hearing():
                    async with asyncio.TaskGroup() as group:
                        group.create_task(life.watch_tools())
                        group.create_task(life.tell_news())
                        if life.passing is not None:
                            group.create_task(life.hold_forever(life.passing))
                        group.create_task(life.sweep_forever(self._sweep_secs))
                        self._life = life
                        started()
            finally:
                self._life = None
                await life.aclose()

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        """Answer one request.

        Raises:
            UnavailableError: it is not serving, or serves too many.
        """
        if self._life is None:
            raise UnavailableError("The MCP server is starting or stopping; try again shortly")
        return await self._life.serve(exchange)

    def end_streams(self) -> None:
        """End what stays open only to tell news; calls go on."""
        if self._life is not None:
            self._life.end_streams()

    def end_calls(self) -> None:
        """Give up what waits for a tool or a server, and tell the clients so."""
        if self._life is not None:
            self._life.end_calls()
