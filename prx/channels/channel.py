"""One channel that is to be connected: a unit whose life is one connection."""

from collections.abc import Callable
from typing import Final

from prx.channels.knocking import Door
from prx.channels.life import Life
from prx.channels.registry import Adapters, missing_adapter
from prx.channels.services import ChannelServices
from prx.config.channels import ChannelConfig
from prx.core.channel import ChannelAdapter
from prx.core.errors import PermanentError, PrxError
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger

UNIT: Final = "channel."
"""What the names of channels' units begin with."""


class Channel:
    """Holds one connection for one life, and tells the bus and the log what becomes of it."""

    def __init__(
        self, name: str, config: ChannelConfig, adapters: Adapters, bus: Bus, services: ChannelServices
    ) -> None:
        """Connect to nothing yet."""
        self.name = f"{UNIT}{name}"
        self.config = config
        """What its next life goes by."""
        self.adapter: ChannelAdapter | None = None
        """That of the newest life."""
        self._door = Door()
        self._channel = name
        self._adapters = adapters
        self._bus = bus
        self._services = services

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        kind = self.config.type or self._channel
        log = get_logger(f"channel::{kind}").bind(channel=self._channel)
        life = None

        def connected() -> None:
            self._services.connections.add(self._channel, adapter)
            self._door.opened()
            started()
            log.info("connected")
            self._tell("connected")

        try:
            adapter = self.adapter = self._connect(kind)
            with self._services.accounts.used_by(self._channel, adapter.account):
                life = Life(self._channel, adapter.capabilities, self._services, connected)
                await life.lead(adapter)
        except PrxError as error:
            self._tell("error", reason=error.message)
            raise
        finally:
            self._services.connections.discard(self._channel)
            if self.adapter is not None and self.adapter.server is not None:
                self._door.server = self.adapter.server
            if life is not None and life.is_connected:
                log.info("disconnected")
                self._tell("disconnected")

    async def recovered(self) -> None:
        """See `Recovering.recovered`."""
        await self._door.returned()

    def _connect(self, kind: str) -> ChannelAdapter:
        connect = self._adapters.get(kind)
        if connect is None:
            raise PermanentError(missing_adapter(self._channel, kind, self._adapters))
        return connect(self._channel, self.config)

    def _tell(self, what: str, **facts: str) -> None:
        self._bus.publish(f"prx.channel.{what}", {"channel": self._channel, **facts})
