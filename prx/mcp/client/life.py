"""One life of a server's unit: a connection is opened, used and closed, all in one task.

As `connection`, only a unit that runs imports this: it loads the SDK.
"""

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, Final

import anyio

from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import UpstreamError
from prx.mcp.client.connection import FAILURES, Connection, connected, reason_of
from prx.mcp.client.http import HttpTransport
from prx.mcp.client.listing import Reader
from prx.mcp.client.oauth.bearer import Bearer
from prx.mcp.client.sse import SseTransport
from prx.mcp.client.stdio import StdioTransport
from prx.mcp.client.streams import Transport
from prx.mcp.client.unit import McpServer, transport_of
from prx.runtime.logging import get_logger

_PROBES: Final = 2

_log = get_logger("mcp")


class Life:
    """From opening a connection to its end."""

    def __init__(self, server: McpServer, started: Callable[[], None]) -> None:
        """Connect `server` with `run`, and call `started` once it is."""
        self._server = server
        self._started = started
        self._scope = anyio.CancelScope()
        self._met = False

    def stop(self) -> None:
        """End the connection, from any task; `run` returns once it is closed."""
        self._scope.cancel()

    async def run(self) -> None:
        """Connect, serve until that is over, and tell the server why. Its task must not be cancelled."""
        reason: str | None = None
        with self._scope:
            reason = await self._connect()
        self._server.lost(reason, was_met=self._met)

    async def _connect(self) -> str:
        """Connect, serve, and return why that is over."""
        server = self._server
        transport = self._transport()
        within_secs = server.config.startup_timeout_ms / 1000
        reason = ""
        with anyio.CancelScope(deadline=anyio.current_time() + within_secs) as opening:
            try:
                async with connected(
                    transport,
                    legacy=server.is_legacy,
                    within_secs=within_secs,
                    noticed=server.noticed,
                    questions=server.questions,
                ) as connection:
                    reason = await self._serve(connection, opening)
            except FAILURES as error:
                reason = reason_of(error)
        if opening.cancelled_caught:
            reason = f"it did not connect within {within_secs:g} s (startup_timeout_ms)"
        if not self._met and transport.pid is not None:
            # Some programs cannot stand to be asked what they speak: next time the other way.
            server.legacy = not server.legacy
        server.needs_auth = transport.needs_auth
        return transport.fault or reason

    def _transport(self) -> Transport:
        server = self._server
        bearer = Bearer(server.server, server.config, server.logins)
        match transport_of(server.config):
            case "stdio":
                return StdioTransport(server.config, server.output)
            case "http":
                return HttpTransport(server.config, server.output, bearer, server.suspected.set)
            case "sse":
                return SseTransport(server.config, server.output, bearer, server.suspected.set)

    async def _serve(self, connection: Connection, opening: anyio.CancelScope) -> str:
        try:
            await self._list_tools(connection)
        except PrxError as error:
            return f"its tools cannot be listed: {error.message}"
        opening.deadline = math.inf
        self._met = True
        self._server.met(connection)
        self._started()
        # Plain tasks: a task group of anyio takes eight kilobytes more, for as long as the server is connected.
        watching: list[Coroutine[Any, Any, str | None]] = [
            connection.ended(),
            connection.keep_listening(),
            self._follow(connection),
            self._probe(connection),
        ]
        watches = [asyncio.create_task(each, name=f"watch of {self._server.server}") for each in watching]
        try:
            return await _first_reason(watches)
        finally:
            self._server.parted()
            for watch in watches:
                watch.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*watches, return_exceptions=True)

    async def _list_tools(self, connection: Connection) -> None:
        server = self._server
        reader = Reader(server.server, server.config, connection.objection)
        if "tools" in connection.capabilities:
            async for page in connection.pages("tools/list", "tools", server.request_secs):
                reader.add(page)
                if reader.is_full:
                    break
        await server.offers.replace(reader.listing())

    async def _follow(self, connection: Connection) -> str:
        """List the tools again whenever they changed, however often that is, and return why that is over."""
        changed, settle_secs = self._server.changed, self._server.timing.settle_secs
        while True:
            await changed.wait()
            await asyncio.sleep(settle_secs)
            changed.clear()
            try:
                await self._list_tools(connection)
            except UpstreamError as error:
                _log.warning(
                    "a changed list of tools cannot be read", server=self._server.server, reason=error.message
                )
            except UnavailableError as error:
                return f"its changed list of tools cannot be read: {error.message}"
            await asyncio.sleep(settle_secs)

    async def _probe(self, connection: Connection) -> str:
        """Look whether a quiet server is still there, and return that it is not."""
        server = self._server
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(server.timing.probe_secs):
                    await server.suspected.wait()
            # One that works on a request may be busy with nothing else for that long.
            patience = 2 * server.request_secs if connection.busy else server.timing.probe_secs
            if server.suspected.is_set() and not connection.busy:
                patience = 0
            server.suspected.clear()
            server.offers.retry()
            if connection.quiet_secs >= patience and await self._is_gone(connection):
                return "it does not answer any more"

    async def _is_gone(self, connection: Connection) -> bool:
        for _ in range(_PROBES):
            if await connection.is_alive(self._server.timing.answer_secs):
                return False
        return True


async def _first_reason(watches: Collection[asyncio.Task[str | None]]) -> str:
    """Return the first reason that one of `watches` ends with; one that ends without goes unnoticed."""
    while True:
        ended, watches = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
        for watch in ended:
            if (reason := watch.result()) is not None:
                return reason
