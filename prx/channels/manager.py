"""The configured channels: which of them are connected, and what operators do to them."""

import asyncio
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from prx.channels.channel import UNIT, Channel
from prx.channels.malformed import understood
from prx.channels.registry import ADAPTERS, Adapters
from prx.channels.services import ChannelServices
from prx.config.channels import ChannelConfig
from prx.config.keys import dotted
from prx.core.channel import HttpReceiver, PushedRequest, PushedResponse
from prx.core.errors import ConflictError, NotFoundError, PrxError, UnavailableError
from prx.core.metric import Metric
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.supervisor import Supervisor
from prx.runtime.tasks import Tasks
from prx.runtime.unit_status import RestartPolicy, UnitStatus

ChannelStatus = Literal["connecting", "connected", "reconnecting", "disconnected", "disabled"]
Configured = Mapping[str, ChannelConfig]

_STATUSES: Final[tuple[ChannelStatus, ...]] = get_args(ChannelStatus)
# A platform that was away for a day is back without anybody's help.
_POLICY: Final = RestartPolicy(max_restarts=None)
_PROBE_SECS: Final = 5.0
_CIRCUIT_FAILURES: Final = 5
"""In a row, after which a channel counts as disconnected; the pauses have grown to a minute by then, and go on."""
# Asked for with each message: a connection need not end for it.
_WITHOUT_RESTART: Final = frozenset(
    {
        "allowed_users",
        "mention_only",
        "dm_policy",
        "group_policy",
        "listen_to_bots",
        "pairing",
        "stream_mode",
        "draft_update_interval_ms",
    }
)

_log = get_logger("channels")


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What there is to tell about a channel now."""

    name: str
    status: ChannelStatus
    error: str | None = None
    """Why it is not connected, where something is wrong."""
    connected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """What came of a round trip to a channel's platform."""

    name: str
    error: str | None = None
    """Why there was none."""
    latency_secs: float | None = None
    last_message_at: datetime | None = None
    """When the newest message came that was heard, in whichever life."""

    @property
    def healthy(self) -> bool:
        """Whether there was one."""
        return self.error is None


class Channels:
    """Every channel of the configuration, by name. Each that is enabled is a unit; what it does is the supervisor's."""

    def __init__(
        self,
        config: Callable[[], Configured],
        supervisor: Supervisor,
        bus: Bus,
        services: ChannelServices,
        *,
        adapters: Adapters = ADAPTERS,
        connects: bool = True,
    ) -> None:
        """Connect nothing yet; `config` is asked for what is configured now. With `connects` false nothing ever is."""
        self._config = config
        self._supervisor = supervisor
        self._bus = bus
        self._services = services
        self._adapters = adapters
        self._connects = connects
        self._channels: dict[str, Channel] = {}
        self._restarting: set[str] = set()
        self._outdated: set[str] = set()
        self._tasks = Tasks(_log, lambda: None)

    async def reconfigured(self, old: Configured) -> None:
        """Connect, end and connect anew what the configuration says differently from `old`, and nothing else."""
        new = self._config()
        for name, channel in self._channels.items():
            channel.config = new.get(name, channel.config)
        changed = [
            name for name in {**old, **new} if _connection(old.get(name)) != _connection(new.get(name))
        ]
        if self._connects:
            await asyncio.gather(*map(self._follow, changed))

    def adapter_changed(self, kind: str) -> None:
        """Connect the channels of a type anew, in a moment: who brings its adapter came, went, or is another now."""
        for name, channel in self._channels.items():
            if (channel.config.type or name) == kind and name not in self._outdated:
                self._outdated.add(name)
                self._tasks.start(self._renew(name, channel))

    async def aclose(self) -> None:
        """End the restarts that go on; the channels are the supervisor's to end."""
        await self._tasks.aclose()

    def list(self) -> list[ChannelState]:
        """Return every configured channel, by name."""
        return [self._state(name, config) for name, config in sorted(self._config().items())]

    def connected(self) -> int:
        """Return how many are connected."""
        found = (self._supervisor.find(channel.name) for channel in self._channels.values())
        return sum(unit is not None and unit.state == "running" for unit in found)

    def metrics(self) -> Sequence[Metric]:
        """Return how many channels are how; see `MetricSource`."""
        count = Counter(state.status for state in self.list())
        samples = [((status,), count[status]) for status in _STATUSES]
        return [Metric("prx_channels", "gauge", "Configured channels by status", ("status",), samples)]

    def get(self, name: str) -> ChannelState:
        """Return one channel.

        Raises:
            NotFoundError: none of this name is configured.
        """
        config = self._config().get(name)
        if config is None:
            raise NotFoundError(f'Channel "{name}" not found; GET /api/v1/channels lists what there is')
        return self._state(name, config)

    def restart(self, name: str) -> None:
        """Begin to connect a channel anew, whatever its state, and return at once; one that connects already goes on.

        Raises:
            NotFoundError: none of this name is configured.
            ConflictError: it is not to be connected.
        """
        state = self.get(name)
        channel = self._channels.get(name)
        if state.status == "disabled" or channel is None:
            raise ConflictError(f'channel "{name}" is disabled: {self._remedy(name)}')
        unit = self._supervisor.find(channel.name)
        is_underway = unit is not None and unit.state in ("starting", "stopping")
        if name not in self._restarting and not is_underway:
            self._restarting.add(name)
            self._tasks.start(self._connect_anew(name, channel))

    async def health(self, name: str) -> ChannelHealth:
        """Make a round trip to the channel's platform, within 5 s, and tell of the newest message.

        Raises:
            NotFoundError: none of this name is configured.
            UnavailableError: the store cannot be read.
        """
        state = self.get(name)
        last = await self._services.intake.last_message_at(name)
        return replace(await self._probed(name, state), last_message_at=last)

    async def pushed(self, name: str, request: PushedRequest) -> PushedResponse:
        """Have a channel answer an HTTP request that its platform sent; see `HttpReceiver.pushed`.

        Raises:
            NotFoundError: there is no such channel, or it takes no requests.
            UnavailableError: it is not connected.
        """
        state = self.get(name)
        adapter = self._services.connections.find(name)
        if adapter is None:
            raise UnavailableError(f'channel "{name}" is {state.status}')
        if not isinstance(adapter, HttpReceiver):
            raise NotFoundError(f'channel "{name}" takes no requests: its platform is connected to')
        return await adapter.pushed(request)

    async def _probed(self, name: str, state: ChannelState) -> ChannelHealth:
        channel = self._channels.get(name)
        if state.status != "connected" or channel is None or channel.adapter is None:
            return ChannelHealth(name, error=state.error or f"it is {state.status}")
        try:
            with understood(UnavailableError):
                async with asyncio.timeout(_PROBE_SECS):
                    return ChannelHealth(name, latency_secs=await channel.adapter.probe())
        except TimeoutError:
            return ChannelHealth(name, error=f"the platform did not answer within {_PROBE_SECS:g} s")
        except PrxError as error:
            return ChannelHealth(name, error=error.message)

    def _state(self, name: str, config: ChannelConfig) -> ChannelState:
        unit = self._supervisor.find(f"{UNIT}{name}") if config.enabled else None
        if unit is None:
            return ChannelState(name, "disabled")
        if name in self._restarting:  # between two lives, or still in the one before
            return ChannelState(name, "reconnecting")
        status = _status(unit)
        error = unit.reason or ("it was stopped" if unit.state == "stopped" else None)
        if unit.state == "backoff" and status == "disconnected":
            tried = "tried once a minute from now on, and when its server is back"
            error = f"{error} (failed {unit.failures} times in a row; {tried})"
        return ChannelState(
            name,
            status,
            error=error,
            connected_at=unit.since if status == "connected" else None,
        )

    async def _follow(self, name: str) -> None:
        """Have the unit of a channel be there or not, as the configuration has it now, and connected anew."""
        config = self._config().get(name)
        channel = self._channels.get(name)
        try:
            if config is None or not config.enabled:
                if channel is not None:
                    await self._supervisor.remove(channel.name)
                    del self._channels[name]
            elif channel is not None:
                await self._connect_anew(name, channel)
            else:
                channel = Channel(name, config, self._adapters, self._bus, self._services)
                remedy = f"remove the cause, then `prx channel restart {shlex.quote(name)}`"
                self._supervisor.add(channel, _POLICY, remedy=remedy)
                self._channels[name] = channel
        except UnavailableError as error:
            # A second one beside one that does not stop would take its messages: it stays, and says so.
            _log.error("a channel cannot follow its configuration", channel=name, reason=error.message)

    async def _renew(self, name: str, channel: Channel) -> None:
        # What changes from here on is for another restart: this one may have looked already.
        self._outdated.discard(name)
        await self._connect_anew(name, channel)

    async def _connect_anew(self, name: str, channel: Channel) -> None:
        self._restarting.add(name)
        try:
            await self._supervisor.restart(channel.name)
        finally:
            self._restarting.discard(name)

    def _remedy(self, name: str) -> str:
        if not self._connects:
            return "the daemon runs with --no-channels"
        return f"set {dotted(('channels_config', name, 'enabled'))} to true"


def _connection(config: ChannelConfig | None) -> dict[str, Any] | None:
    """Return what a connection depends on; `None` where there is to be none."""
    if config is None or not config.enabled:
        return None
    return config.model_dump(exclude=set(_WITHOUT_RESTART))


def _status(unit: UnitStatus) -> ChannelStatus:
    match unit.state:
        case "running":
            return "connected"
        case "failed" | "stopped":
            return "disconnected"
        case "backoff":
            return "reconnecting" if unit.failures < _CIRCUIT_FAILURES else "disconnected"
        case "starting" | "stopping":
            return "reconnecting" if unit.restarts else "connecting"
