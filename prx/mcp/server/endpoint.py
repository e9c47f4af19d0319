"""`/mcp`: what the API mounts. It costs nothing until somebody asks: then the SDK is imported and its unit started."""

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from prx.core.errors import UnavailableError
from prx.core.upstream import Upstreams
from prx.mcp.server.caller import Caller
from prx.mcp.server.exchange import Exchange
from prx.runtime.supervisor import Supervisor
from prx.runtime.tools import ToolRouter

if TYPE_CHECKING:
    from prx.mcp.server.host import Host

_QUICK_SECS: Final = 0.5
_START_SECS: Final = 15.0


class McpEndpoint:
    """Answers MCP requests that the edge let in."""

    def __init__(
        self,
        router: ToolRouter,
        supervisor: Supervisor,
        upstreams: Upstreams | None = None,
        *,
        quick_secs: float = _QUICK_SECS,
        **more: Any,
    ) -> None:
        """Serve what there is, as a unit of `supervisor` once somebody asks.

        Args:
            router: what can be called.
            supervisor: runs the unit.
            upstreams: the MCP servers whose prompts and resources are passed on, where there may be any.
            quick_secs: how long a call may take before the SDK looks after it.
            more: what else `Host` is told.
        """
        self._router = router
        self._supervisor = supervisor
        self._upstreams = upstreams
        self._settings = {"quick_secs": quick_secs, **more}
        self._starting = asyncio.Lock()
        self._host: Host | None = None

    async def serve(self, request: web.Request, body: bytes, caller: Caller) -> web.StreamResponse:
        """Answer one request, whose body has been read.

        Raises:
            ForbiddenError: the token may do nothing here.
            UnavailableError: the MCP server does not run, or serves too many.
        """
        host = self._host
        if host is None or not host.serving:
            host = await self._started()
        return await host.serve(Exchange(request, body, caller))

    def end_streams(self) -> None:
        """End what stays open only to tell news, because the daemon stops; calls go on."""
        if self._host is not None:
            self._host.end_streams()

    def end_calls(self) -> None:
        """Give up what waits for a tool or a server, because the daemon stops waiting; clients are told so."""
        if self._host is not None:
            self._host.end_calls()

    async def _started(self) -> "Host":
        async with self._starting:
            if self._host is None:
                # Not on the event loop: it takes most of a second.
                module = await asyncio.to_thread(importlib.import_module, "prx.mcp.server.host")
                host = module.Host(self._router, self._upstreams, **self._settings)
                self._supervisor.add(host)
                self._host = host
        host = self._host
        state = await self._supervisor.wait(host.name, {"running", "backoff", "failed"}, _START_SECS)
        if state.state != "running":
            raise UnavailableError(f"The MCP server does not run: {state.reason}")
        return host
