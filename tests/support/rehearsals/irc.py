"""IRC: a person on ngIRCd."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.channel_kit import Rehearsal
from tests.support.irc_user import IrcUser, irc_user
from tests.support.servers.ngircd import PASSWORD, ngircd
from tests.support.servers.process import ServerProcess


class IrcRehearsal(Rehearsal):
    kind = "irc"
    keeps_messages = False

    def __init__(self, server: ServerProcess, certificate: Path) -> None:
        self.server = server
        self._certificate = certificate
        self._people = AsyncExitStack()
        self.ada: IrcUser

    def table(self) -> dict[str, Any]:
        return {
            "server": "127.0.0.1", "port": self.server.port, "tls": False, "nick": "prx",
            "server_password": PASSWORD, "rooms": ["#lobby"], "line_interval_ms": 0,
        }  # fmt: skip

    def tls_table(self) -> dict[str, Any]:
        """Return the keys of a channel that works over TLS."""
        return self.table() | {"port": self.server.tls_port, "tls": True, "tls_ca": str(self._certificate)}

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"server_password": "hunter2"}

    async def joins(self, nick: str) -> IrcUser:
        """Have another person be there."""
        return await self._people.enter_async_context(irc_user(self.server.port, PASSWORD, nick))

    async def say(self, text: str) -> None:
        self.ada.say("prx", text)

    async def read(self) -> str:
        return await self.ada.read()

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        self.ada = await self.joins("ada")

    async def stop(self) -> None:
        await self._people.aclose()
        await asyncio.to_thread(self.server.kill)

    async def freeze(self) -> None:
        self.server.pause()

    async def thaw(self) -> None:
        self.server.resume()

    async def aclose(self) -> None:
        await self._people.aclose()


@asynccontextmanager
async def irc_rehearsal(certificate: Path) -> AsyncIterator[IrcRehearsal]:
    with ngircd(certificate) as server:
        rehearsal = IrcRehearsal(server, certificate)
        rehearsal.ada = await rehearsal.joins("ada")
        try:
            yield rehearsal
        finally:
            await rehearsal.aclose()
