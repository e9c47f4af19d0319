"""XMPP: somebody on Prosody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.channel_kit import Rehearsal
from tests.support.servers.process import ServerProcess
from tests.support.servers.prosody import DOMAIN, PASSWORD, ROOMS, prosody
from tests.support.xmpp_user import XmppUser, xmpp_user

BOT: Final = f"bot@{DOMAIN}"
LOBBY: Final = f"lobby@{ROOMS}"


class XmppRehearsal(Rehearsal):
    kind = "xmpp"

    def __init__(self, server: ServerProcess, certificate: Path) -> None:
        self.server = server
        self._certificate = certificate
        self._people = AsyncExitStack()
        self.ada: XmppUser

    def table(self) -> dict[str, Any]:
        return {
            "jid": BOT, "password": PASSWORD, "host": "127.0.0.1", "port": self.server.port,
            "tls_ca": str(self._certificate), "rooms": [LOBBY],
        }  # fmt: skip

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"password": "hunter2"}

    async def say(self, text: str) -> None:
        await self.ada.say(BOT, text)

    async def read(self) -> str:
        return str((await self.ada.read())["body"])

    async def arrive(self) -> None:
        """Have the person be there."""
        self.ada = await self._people.enter_async_context(
            xmpp_user(self.server.port, "ada", self._certificate)
        )

    async def leave(self) -> None:
        await self._people.aclose()

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await self.arrive()

    async def stop(self) -> None:
        await self.leave()
        await asyncio.to_thread(self.server.kill)

    async def freeze(self) -> None:
        self.server.pause()

    async def thaw(self) -> None:
        self.server.resume()


@asynccontextmanager
async def xmpp_rehearsal(certificate: Path) -> AsyncIterator[XmppRehearsal]:
    with prosody(certificate, "ada", "bot") as server:
        rehearsal = XmppRehearsal(server, certificate)
        await rehearsal.arrive()
        try:
            yield rehearsal
        finally:
            await rehearsal.leave()
