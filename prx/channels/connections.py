"""Which channels are connected, for whoever has something to say over one and may have to wait for that."""

from prx.core.channel import ChannelAdapter
from prx.runtime.changes import Changes


class Connections:
    """The adapters that are connected, by their channel's name."""

    def __init__(self) -> None:
        """Start with none."""
        self._adapters: dict[str, ChannelAdapter] = {}
        self._changes = Changes()

    def find(self, channel: str) -> ChannelAdapter | None:
        """Return the adapter of a channel; None while it is not connected."""
        return self._adapters.get(channel)

    async def wait(self, channel: str) -> ChannelAdapter:
        """Return the adapter of a channel as soon as it is connected, however long that takes."""
        while (adapter := self._adapters.get(channel)) is None:
            await self._changes.after(self._changes.number)
        return adapter

    def add(self, channel: str, adapter: ChannelAdapter) -> None:
        """Have a channel be connected."""
        self._adapters[channel] = adapter
        self._changes.mark()

    def discard(self, channel: str) -> None:
        """Have a channel not be connected."""
        self._adapters.pop(channel, None)
