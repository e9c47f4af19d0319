"""One channel that is to be connected: a unit whose life is one connection."""

from collections.abc import Callable
from typing import Final

from prx.channels.adapters import Adapters, missing_adapter
from prx.config.integrations import ChannelConfig
from prx.core.channel import ChannelAdapter
from prx.core.errors import PermanentError, PrxError
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger

UNIT: Final = "channel."
"""What the names of channels' units begin with."""


class Channel:
    """Holds one connection for one life, and tells the bus and the log what becomes of it."""

    def __init__(self, name: str, config: ChannelConfig, adapters: Adapters, bus: Bus) -> None:
        """Connect to nothing yet."""
        self.name = f"{UNIT}{name}"
        self.config = config
        """What its next life goes by."""
        self.adapter: ChannelAdapter | None = None
        """That of the newest life."""
        self._channel = name
        self._adapters = adapters
        self._bus = bus

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        kind = self.config.type or self._channel
        log = get_logger(f"channel::{kind}").bind(channel=self._channel)
        is_connected = False

        def connected() -> None:
            nonlocal is_connected
            is_connected = True
            started()
            log.info("connected")
            self._tell("connected")

        try:
            self.adapter = self._connect(kind)
            await self.adapter.run(connected)
        except PrxError as error:
            self._tell("error", reason=error.message)
            raise
        finally:
            if is_connected:
                log.info("disconnected")
                self._tell("disconnected")

    def _connect(self, kind: str) -> ChannelAdapter:
        connect = self._adapters.get(kind)
        if connect is None:
            raise PermanentError(missing_adapter(self._channel, kind, self._adapters))
        return connect(self._channel, self.config)

    def _tell(self, what: str, **facts: str) -> None:
        self._bus.publish(f"prx.channel.{what}", {"channel": self._channel, **facts})
