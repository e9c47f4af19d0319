"""One life of a channel as its adapter sees it."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from prx.channels.malformed import storable, understood
from prx.channels.services import ChannelServices
from prx.core.channel import Capabilities, ChannelAdapter, IncomingMessage, Reception
from prx.core.errors import UnavailableError


class Life:
    """The `ChannelContext` of one life. It ends one that makes no progress any more: a living task is no proof."""

    def __init__(
        self, channel: str, can: Capabilities, services: ChannelServices, on_connected: Callable[[], None]
    ) -> None:
        """Be the life of `channel`, not begun yet."""
        self._channel = channel
        self._can = can
        self._services = services
        self._on_connected = on_connected
        self._limit: asyncio.Timeout | None = None
        self.is_connected = False

    async def lead(self, adapter: ChannelAdapter) -> None:
        """Run the adapter to its end.

        Raises:
            UnavailableError: it made no progress for too long; and what `ChannelAdapter.run` raises.
        """
        try:
            with understood(UnavailableError):
                async with asyncio.timeout(None) as self._limit:
                    await adapter.run(self)
        except TimeoutError:
            if self._limit is None or not self._limit.expired():
                raise
            secs = self._can.idle_limit_secs
            raise UnavailableError(f"stalled: the connection made no progress for {secs:g} s") from None
        finally:
            self._limit = None

    def connected(self) -> None:
        """See `ChannelContext.connected`."""
        if not self.is_connected:
            self.is_connected = True
            self.alive()
            self._on_connected()

    def alive(self) -> None:
        """See `ChannelContext.alive`."""
        if self.is_connected and self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._can.idle_limit_secs)

    async def receive(self, message: IncomingMessage) -> Reception:
        """See `ChannelContext.receive`."""
        self.alive()
        heard = storable(message)
        return "refused" if heard is None else await self._services.intake.receive(self._channel, heard)

    def welcomes(self, sender: str, *, is_group: bool) -> bool:
        """See `ChannelContext.welcomes`."""
        return self._services.intake.welcomes(self._channel, sender, is_group=is_group)

    async def directory(self) -> Path:
        """See `ChannelContext.directory`."""
        # By a hash: a channel's name may be no name of a file.
        name = sha256(self._channel.encode()).hexdigest()[:16]
        directory = self._services.directory / name
        await asyncio.to_thread(directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        return directory

    async def load_cursor(self, max_age_secs: float | None = None) -> str | None:
        """See `ChannelContext.load_cursor`."""
        return await self._services.cursors.load(self._channel, max_age_secs)

    async def save_cursor(self, cursor: str) -> None:
        """See `ChannelContext.save_cursor`."""
        await self._services.cursors.save(self._channel, cursor)
