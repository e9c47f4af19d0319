"""One MCP server as a unit, and what is known of it between the lives of its connections."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from prx.config.integrations import McpServerConfig
from prx.core.errors import PermanentError, UnavailableError
from prx.core.ids import now_utc
from prx.core.sampling import Sampler
from prx.core.tool import CallContext, Tool, ToolFailure, ToolResult, ToolSpec
from prx.core.upstream import CONNECTED as CONNECTED_NOTICE
from prx.core.upstream import Ask, Progress, UpstreamError
from prx.mcp.client.listing import ListedTool
from prx.mcp.client.oauth.logins import LoginFile
from prx.mcp.client.offers import Offers
from prx.mcp.client.questions import Questions, UnansweredError
from prx.mcp.client.requests import LostError, SessionLostError, SlowError, TooLargeError
from prx.mcp.client.results import tool_result
from prx.mcp.client.rounds import METHODS, answered, asks
from prx.mcp.client.sampling import Sampling
from prx.runtime.bus import Bus
from prx.runtime.foreign_output import ForeignOutput
from prx.runtime.log_values import redaction
from prx.runtime.logging import get_logger
from prx.runtime.tools import ToolRouter

if TYPE_CHECKING:
    from prx.mcp.client.connection import Connection

TransportName = Literal["stdio", "http", "sse"]

CONNECTED: Final = "prx.mcp.connected"
DISCONNECTED: Final = "prx.mcp.disconnected"
_LEAST_PAUSE_SECS: Final = 1.0
_RETRY_SECS: Final = 0.05
_MESSAGE: Final = "notifications/message"
_LOG_LEVELS: Final = {"debug": "debug", "info": "info", "notice": "info", "warning": "warn"}

_log = get_logger("mcp")


class Timing(NamedTuple):
    """How long things take that no operator sets. In seconds."""

    probe_secs: float = 30.0
    """How long a server may be quiet before it is asked for a sign of life."""
    answer_secs: float = 10.0
    """How long it may take to give one."""
    settle_secs: float = 0.25
    """How long is waited for further changes of a list before it is read, and again after that."""


class McpServer:
    """One configured server, for as long as its configuration stays the same."""

    def __init__(  # noqa: PLR0913  # what it is joined from
        self,
        server: str,
        config: McpServerConfig,
        router: ToolRouter,
        bus: Bus,
        *,
        hurry: Callable[[float], None],
        notice: Callable[[str, str, Mapping[str, Any]], None],
        timing: Timing,
        logins: LoginFile,
        sampler: Sampler | None = None,
    ) -> None:
        """Offer its tools in `router` and tell `bus` of its connections.

        Args:
            server: its name in the configuration.
            config: how to reach it.
            router: gets its tools.
            bus: hears of connections made and lost.
            hurry: has the next try made now, if none was made for so many seconds.
            notice: told of notifications that are about something else than tools.
            timing: see `Timing`.
            logins: who it is at servers that ask for a login.
            sampler: has a model answer it, where its table lets it ask one.
        """
        self.server = server
        self.config = config
        self.timing = timing
        self.logins = logins
        self.offers = Offers(router, lambda listed: RemoteTool(self, listed))
        self.output = ForeignOutput("the server", f"mcp::{server}", server=server)
        sampling = None
        if sampler is not None and config.sampling.tokens_per_day:
            sampling = Sampling(server, config.sampling, sampler)
        self.questions = Questions(server, config, sampling)
        self.connection: Connection | None = None
        self.connected_at: datetime | None = None
        self.fault: str | None = None
        """Why the last connection ended or could not be made; None once there is one."""
        self.failing_since: datetime | None = None
        self.legacy = False
        """Whether the next try does without asking what the server speaks."""
        self.needs_auth = False
        """Whether the server refuses what it is sent for want of a login."""
        self.changed = asyncio.Event()
        """Set when the server says that its tools are others."""
        self.suspected = asyncio.Event()
        """Set when there is a reason to look whether it is still there."""
        self._bus = bus
        self._hurry = hurry
        self._notice = notice

    @property
    def name(self) -> str:
        """The unit's name."""
        return unit_name(self.server)

    @property
    def is_legacy(self) -> bool:
        """Whether to connect without asking what the server speaks."""
        return self.legacy or self.config.transport == "sse" or self.config.handshake == "legacy"

    @property
    def request_secs(self) -> float:
        """How long one request may take."""
        return self.config.request_timeout_ms / 1000

    async def run(self, started: Callable[[], None]) -> None:
        """Connect and stay connected until that fails or this is cancelled.

        The connection has a task of its own, which nobody cancels: the SDK would leave its process behind.

        Raises:
            UnavailableError: there is no connection, or not any more; says why.
            PermanentError: the server asks for a login.
        """
        # In a thread: the first import of the SDK takes half a second.
        lives = await asyncio.to_thread(import_module, "prx.mcp.client.life")
        life = lives.Life(self, started)
        task = asyncio.create_task(life.run(), name=f"connection {self.server}")
        try:
            await asyncio.wait({task})
        finally:
            life.stop()
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
            error = task.exception()
        if error is not None:
            raise error
        kind = PermanentError if self.needs_auth else UnavailableError
        raise kind(f'MCP server "{self.server}": {self.fault}')

    async def call(self, tool: ListedTool, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        """Call one of its tools.

        Raises:
            UnavailableError: it is not connected, so nothing ran; another connection is tried soon.
        """
        params = {"name": tool.own_name, "arguments": dict(arguments)}
        try:
            result = await self.request("tools/call", params, context.progress, context.ask)
        except TooLargeError as error:
            return ToolResult(error=ToolFailure("output_too_large", error.message))
        except UnansweredError as error:
            return ToolResult(error=ToolFailure("input_required", error.message))
        except UpstreamError as error:
            return ToolResult(error=ToolFailure("tool_error", error.message))
        except LostError as error:
            reason = f"the connection ended while it ran, so it may have run or not: {error.message}"
            return ToolResult(error=ToolFailure("connection_lost", reason))
        except SlowError as error:
            self.suspected.set()
            return ToolResult(error=ToolFailure("timeout", f"{error.message} (request_timeout_ms)"))
        return tool_result(result)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        progress: Progress | None = None,
        ask: Ask | None = None,
    ) -> dict[str, Any]:
        """Return the result of one request; what the server asks meanwhile is answered by the configuration, or `ask`.

        Raises:
            UnavailableError: it is not connected; another connection is tried soon.
            UnansweredError: it asks what nobody here can answer.
            UpstreamError, LostError, SlowError: see `Requests.send`.
        """
        if method not in METHODS:
            return await self._sent(method, params, progress, ask)
        with self.questions.answered_by(ask):
            result = await self._sent(method, params, progress, ask)
            if asks(result):
                send = partial(self._sent, method, progress=progress, ask=ask)
                result = await answered(result, params, send, partial(self.questions.answer_for, ask))
            return result

    async def _sent(
        self, method: str, params: Mapping[str, Any], progress: Progress | None, ask: Ask | None
    ) -> dict[str, Any]:
        """Return the result of one request; where the server had forgotten the connection, over the next one."""
        connection = self.connection
        if connection is None:
            self._hurry(_LEAST_PAUSE_SECS)
            raise self._away()
        try:
            return await connection.request(method, params, self.request_secs, progress, ask)
        except SessionLostError:
            connection = await self._next_connection(connection)
            return await connection.request(method, params, self.request_secs, progress, ask)

    async def _next_connection(self, last: "Connection") -> "Connection":
        """Wait for another connection than `last`, which is over, as long as a request may take."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.request_secs):
                while self.connection in (None, last):
                    self._hurry(0)  # once it pauses, which it does not do yet
                    await asyncio.sleep(_RETRY_SECS)
        if self.connection is None or self.connection is last:
            raise self._away()
        return self.connection

    def _away(self) -> UnavailableError:
        reason = self.fault or "it is connecting"
        return UnavailableError(f'MCP server "{self.server}" is not connected: {reason}')

    def met(self, connection: "Connection") -> None:
        """Serve by `connection` from now on."""
        self.connection, self.connected_at = connection, now_utc()
        self.fault = self.failing_since = None
        self._tell_lists(connection)
        self._notice(self.server, CONNECTED_NOTICE, {})
        self._tell(CONNECTED, tools=len(self.offers.names()), protocol_version=connection.protocol_version)

    def parted(self) -> None:
        """Send nothing more over the connection, which ends; closing it may take some time."""
        connection, self.connection, self.connected_at = self.connection, None, None
        if connection is not None:
            self._tell_lists(connection)

    def lost(self, reason: str | None, *, was_met: bool = False) -> None:
        """Take note of why there is no connection, or not any more; `None` means that it was told to end."""
        if reason is not None:
            self.fault = redaction.clean(reason)
            self.failing_since = self.failing_since or now_utc()
        if was_met:
            self._tell(DISCONNECTED, reason="it was stopped" if reason is None else self.fault)

    def noticed(self, method: str, params: Mapping[str, Any]) -> None:
        """Take a notification of the server."""
        if method == "notifications/tools/list_changed":
            self.changed.set()
            return
        if method.endswith("/list_changed") and self.connection is not None:
            self.connection.lists = {}  # not cleared: what is being read now belongs into the old one
        if method == _MESSAGE:
            said = params.get("data")
            level = _LOG_LEVELS.get(str(params.get("level")), "error")
            self.output.write(level, said if isinstance(said, str) else repr(said))
        self._notice(self.server, method, params)

    def _tell_lists(self, connection: "Connection") -> None:
        """Tell whoever passes the server's lists on that these come or go."""
        for kind in ("resources", "prompts"):
            if kind in connection.capabilities:
                self._notice(self.server, f"notifications/{kind}/list_changed", {})

    def _tell(self, topic: str, **facts: object) -> None:
        _log.info(topic.removeprefix("prx.mcp."), server=self.server, **facts)
        self._bus.publish(topic, {"server": self.server, **facts})


class RemoteTool(Tool):
    """A tool of a server."""

    def __init__(self, server: McpServer, listed: ListedTool) -> None:
        """Call `listed` at `server`."""
        self._server = server
        self._listed = listed

    @property
    def spec(self) -> ToolSpec:
        """What callers see of it."""
        return self._listed.spec

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        """Run it; see `McpServer.call`."""
        return await self._server.call(self._listed, arguments, context)


def transport_of(config: McpServerConfig) -> TransportName:
    """Return how a server is reached."""
    return config.transport or ("stdio" if config.command is not None else "http")


def unit_name(server: str) -> str:
    """Return the name of a server's unit."""
    return f"mcp.{server}"
