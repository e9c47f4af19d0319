"""What lies around channels, for tests that give it none of the daemon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prx.channels.cursors import Cursors
from prx.channels.services import ChannelServices
from prx.core.channel import IncomingMessage
from prx.runtime.store import Store


@dataclass
class Heard:
    """What came over channels, in its order."""

    messages: list[IncomingMessage] = field(default_factory=list)

    async def receive(self, _channel: str, message: IncomingMessage) -> None:
        self.messages.append(message)


def no_services() -> ChannelServices:
    """Return services of channels that are not there, so that nothing is kept."""
    return ChannelServices(Cursors(Store(Path("none"))), Path("none"), Heard().receive)


@asynccontextmanager
async def keeping(directory: Path, heard: Heard) -> AsyncIterator[ChannelServices]:
    """Have services keep what they keep in `directory`; `heard` has what came."""
    store = await Store.open(directory / "channels.db")
    try:
        yield ChannelServices(Cursors(store), directory / "channels", heard.receive)
    finally:
        await store.aclose()
