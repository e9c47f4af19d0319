"""Every configured MCP server: one unit each, kept as the configuration and the operator want them."""

import asyncio
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

from prx.config.integrations import McpConfig, McpServerConfig
from prx.config.keys import dotted
from prx.core.errors import ConflictError, NotFoundError, PrxError, UnavailableError
from prx.core.metric import Metric
from prx.core.sampling import Sampler
from prx.core.unit import Problem
from prx.core.upstream import Notice, Upstream
from prx.mcp.client.names import is_of
from prx.mcp.client.oauth.logins import LoginFile, remedy
from prx.mcp.client.unit import McpServer, Timing, unit_name
from prx.mcp.client.upstreams import ConnectedServer
from prx.mcp.client.view import ServerView, Status
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from prx.runtime.switches import Switches
from prx.runtime.tasks import Tasks
from prx.runtime.tools import ToolRouter
from prx.runtime.unit_status import RestartPolicy, State

_RESTARTS: Final = RestartPolicy(first_pause_secs=1.0, most_pause_secs=60.0, max_restarts=None)
_ATTEMPTED: Final[tuple[State, ...]] = ("running", "backoff", "failed")
_TIMING: Final = Timing()

log = get_logger("mcp")


@dataclass(slots=True)
class _Slot:
    """The place of one server: what runs for it, and whoever changes that."""

    unit: McpServer | None = None
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    reconnecting: bool = False
    last_offered: Collection[str] = ()
    """What could be called before it was disabled, or its table changed."""
    is_over: bool = False
    """Whether the server was removed, and this place with it."""


class McpServers:
    """The servers of `[mcp.servers]`. The API reads and drives them here."""

    def __init__(  # noqa: PLR0913  # what it is joined from
        self,
        config: Callable[[], McpConfig],
        store: Store,
        data_dir: Path,
        supervisor: Supervisor,
        router: ToolRouter,
        bus: Bus,
        *,
        sampler: Sampler | None = None,
        timing: Timing = _TIMING,
        restarts: RestartPolicy = _RESTARTS,
    ) -> None:
        """Run nothing until `start`.

        Args:
            config: asked whenever it may have changed.
            store: remembers which servers the operator disabled.
            data_dir: has the logins.
            supervisor: runs the units.
            router: gets the tools.
            bus: hears of connections.
            sampler: has a model answer servers that may ask one.
            timing: see `Timing`.
            restarts: when a server that failed is tried again.
        """
        self._logins = LoginFile(data_dir)
        self._config = config
        self._switches = Switches(store, "mcp_state")
        self._supervisor = supervisor
        self._router = router
        self._bus = bus
        self._sampler = sampler
        self._timing = timing
        self._restarts = restarts
        self._slots: dict[str, _Slot] = {}
        self._notices: list[Notice] = []
        self._tasks = Tasks(log, lambda: None)
        self._explaining = ExitStack()
        self._closed = False

    async def start(self) -> None:
        """Begin to connect to every server; waits for none.

        Raises:
            UnavailableError: the store cannot be read.
        """
        await self._switches.load()
        self._explaining.enter_context(self._router.explaining(self._why_missing))
        self.reconfigured()

    def reconfigured(self) -> None:
        """Begin to do what the configuration says now: only servers whose own table changed are touched."""
        for name in {*self._config().servers, *self._slots}:
            self._tasks.start(self._settle(name))

    async def aclose(self) -> None:
        """Begin nothing more; the supervisor ends the units."""
        self._closed = True
        self._explaining.close()
        await self._tasks.aclose()

    def names(self) -> list[str]:
        """Return the configured servers."""
        return sorted(self._config().servers)

    def get(self, name: str) -> ServerView:
        """Return what is known of one server.

        Raises:
            NotFoundError: none of this name is configured.
        """
        config, slot = self._checked(name), self._slots.get(name)
        unit = None if slot is None else slot.unit
        state = None if unit is None else self._supervisor.find(unit.name)
        return ServerView.of(name, config, unit, self.status(name), 0 if state is None else state.restarts)

    def status(self, name: str) -> Status:
        """Return how it is with one server, by its unit and the unit's state."""
        if self._is_off(name):
            return "disabled"
        slot = self._slots.get(name)
        if slot is not None and slot.reconnecting:
            return "reconnecting"
        if slot is None or slot.unit is None or slot.changing.locked():
            return "connecting"
        if slot.unit.connection is not None:
            return "connected"
        state = self._supervisor.find(slot.unit.name)
        if state is None or state.state != "starting":
            return "needs_auth" if slot.unit.needs_auth else "disconnected"
        return "connecting" if slot.unit.fault is None else "reconnecting"

    def reconnect(self, name: str) -> None:
        """Begin to end the connection and make another; nothing where that is being done.

        Raises:
            NotFoundError: none of this name is configured.
            ConflictError: it is disabled.
        """
        self._checked(name)
        if self._is_off(name):
            raise ConflictError(f'MCP server "{name}" is disabled: enable it, and it connects')
        slot = self._slots.setdefault(name, _Slot())
        if not slot.reconnecting:
            slot.reconnecting = True
            self._tasks.start(self._reconnect(name, slot))

    async def disable(self, name: str) -> None:
        """Have it disconnected, over restarts too; idempotent. Its tools are gone when this returns.

        Raises:
            NotFoundError: none of this name is configured.
            UnavailableError: the store cannot write.
        """
        self._checked(name)
        await self._switches.set(name, disabled=True)
        if (slot := self._slots.get(name)) is not None:
            self._withdraw(slot)
        self._tasks.start(self._settle(name))

    async def enable(self, name: str) -> None:
        """Undo a disable; idempotent. It connects in the background.

        Raises:
            NotFoundError: none of this name is configured.
            ConflictError: the configuration disables it.
            UnavailableError: the store cannot write.
        """
        if not self._checked(name).enabled:
            raise _disabled_by_configuration(name)
        await self._switches.set(name, disabled=False)
        self._tasks.start(self._settle(name))

    def problems(self) -> list[Problem]:
        """Return the servers that should be connected and are not."""
        return [problem for name in self.names() for problem in self._problems(name)]

    def metrics(self) -> Sequence[Metric]:
        """Return how many servers are how; see `MetricSource`."""
        count = Counter(map(self.status, self.names()))
        samples = [((status,), count[status]) for status in get_args(Status)]
        return [Metric("prx_mcp_servers", "gauge", "Configured MCP servers by status", ("status",), samples)]

    def connected(self) -> Sequence[Upstream]:
        """Return the servers that are connected, for whoever passes them on."""
        units = [slot.unit for _, slot in sorted(self._slots.items()) if slot.unit is not None]
        return [ConnectedServer(unit, unit.connection) for unit in units if unit.connection is not None]

    @contextmanager
    def noticing(self, notice: Notice) -> Iterator[None]:
        """Tell `notice` of the servers' notifications for the length of the block."""
        self._notices.append(notice)
        try:
            yield
        finally:
            self._notices.remove(notice)

    def list(self) -> list[ServerView]:
        """Return what is known of each server, by name."""
        return [self.get(name) for name in self.names()]

    def _checked(self, name: str) -> McpServerConfig:
        servers = self._config().servers
        if name not in servers:
            there = ", ".join(sorted(servers)) or "none"
            raise NotFoundError(f'MCP server "{name}" not found; configured are: {there}')
        return servers[name]

    def _is_off(self, name: str) -> bool:
        return self._switches.disabled(name) or not self._config().servers[name].enabled

    async def _settle(self, name: str) -> None:
        """Bring what runs for `name` to what is wanted now; one at a time, the last word wins."""
        slot = self._slots.setdefault(name, _Slot())
        async with slot.changing:
            if slot.is_over:  # while this waited; the server may have come back since
                self._tasks.start(self._settle(name))
                return
            config = self._config().servers.get(name)
            wanted = None if config is None or self._is_off(name) else config
            if slot.unit is not None and (wanted is None or slot.unit.config != wanted):
                await self._remove(slot, slot.unit)
            if wanted is not None and slot.unit is None and not self._closed:
                slot.unit = self._unit(name, wanted)
                self._supervisor.add(slot.unit, self._restarts, own_problems=True)
            if config is None:
                slot.is_over = True
                del self._slots[name]

    async def _remove(self, slot: _Slot, unit: McpServer) -> None:
        self._withdraw(slot)
        await self._supervisor.remove(unit.name)
        unit.offers.close()  # it may have connected in the last moment
        slot.unit = None

    def _withdraw(self, slot: _Slot) -> None:
        if slot.unit is not None and (offered := slot.unit.offers.offered()):
            slot.last_offered = frozenset(offered.values())
            slot.unit.offers.close()

    def _why_missing(self, tool: str) -> PrxError | None:
        """Say of a tool that nobody offers why its server does not, where that has nothing connected; see `Explain`."""
        for name, config in self._config().servers.items():
            slot = self._slots.get(name)
            if not is_of(name, config.tool_name_prefix, tool) and (
                slot is None or tool not in slot.last_offered
            ):
                continue
            if self._switches.disabled(name):
                remedy = f"`prx mcp enable {shlex.quote(name)}` brings its tools back"
                return ConflictError(f'MCP server "{name}" is disabled: {remedy}')
            if not config.enabled:
                return _disabled_by_configuration(name)
            unit = None if slot is None or slot.changing.locked() else slot.unit
            if unit is None or (unit.connection is None and not unit.offers.names()):
                reason = "it is connecting" if unit is None or unit.fault is None else unit.fault
                return UnavailableError(f'MCP server "{name}" is not connected: {reason}')
        return None

    def _unit(self, name: str, config: McpServerConfig) -> McpServer:
        return McpServer(
            name,
            config,
            self._router,
            self._bus,
            hurry=partial(self._supervisor.hurry, unit_name(name)),
            notice=self._notice,
            timing=self._timing,
            logins=self._logins,
            sampler=self._sampler,
        )

    def _notice(self, server: str, method: str, params: Mapping[str, Any]) -> None:
        for notice in self._notices:
            notice(server, method, params)

    async def _reconnect(self, name: str, slot: _Slot) -> None:
        try:
            async with slot.changing:
                if slot.unit is None:
                    return
                await self._supervisor.restart(slot.unit.name)
                within_secs = slot.unit.config.startup_timeout_ms / 1000 + self._restarts.stop_secs
            await self._supervisor.wait(unit_name(name), _ATTEMPTED, within_secs)
        except PrxError as error:
            log.warning("a server does not reconnect", server=name, reason=error.message)
        finally:
            slot.reconnecting = False

    def _problems(self, name: str) -> Iterator[Problem]:
        slot = self._slots.get(name)
        if slot is None or slot.unit is None or self._is_off(name):
            return
        unit = slot.unit
        if unit.fault is None or unit.failing_since is None:
            return
        said = shlex.quote(name)
        reconnect, disable = f"`prx mcp reconnect {said}`", f"`prx mcp disable {said}`"
        action = (
            f"{remedy(name, unit.config)}; {reconnect} tries again what is there"
            if unit.needs_auth
            else f"remove the cause, it is tried again by itself; {reconnect} tries it at once"
        )
        reason = f"it is not connected: {unit.fault}"
        yield Problem(unit_name(name), reason, unit.failing_since, f"{action}, {disable} gives it up")


def _disabled_by_configuration(name: str) -> ConflictError:
    key = dotted(("mcp", "servers", name, "enabled"))
    return ConflictError(f'MCP server "{name}" is disabled by the configuration: set {key} = true')
