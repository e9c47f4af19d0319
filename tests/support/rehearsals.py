"""The emulated platforms for the tests that every adapter passes."""

from abc import abstractmethod

from tests.support.channel_kit import Rehearsal
from tests.support.platforms.server import PlatformServer
from tests.support.waiting import eventually


class EmulatedRehearsal(Rehearsal):
    """Stops, starts and freezes an emulator; `shown` has what the bot said, in its order."""

    server: PlatformServer

    def __init__(self) -> None:
        self._read = 0

    @property
    @abstractmethod
    def shown(self) -> list[str]:
        """Return what the bot said, as a reader sees it."""

    async def read(self) -> str:
        await eventually(lambda: len(self.shown) > self._read)
        self._read += 1
        return self.shown[self._read - 1]

    async def stop(self) -> None:
        await self.server.stop()

    async def start(self) -> None:
        await self.server.start()

    async def freeze(self) -> None:
        self.server.freeze()

    async def thaw(self) -> None:
        self.server.thaw()
