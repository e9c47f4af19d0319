"""Matrix: somebody on Synapse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prx.core.ids import new_id
from tests.support.channel_kit import Rehearsal
from tests.support.matrix_user import MatrixUser, matrix_user
from tests.support.servers.synapse import PASSWORD, Synapse


class MatrixRehearsal(Rehearsal):
    """Each has accounts of its own, on a homeserver that all share."""

    kind = "matrix"

    def __init__(self, server: Synapse, bot: str, ada: MatrixUser) -> None:
        self.server = server
        self.bot = bot
        self.ada = ada
        self.room = ""

    def table(self) -> dict[str, Any]:
        return {
            "homeserver": self.server.url, "user": self.bot, "password": PASSWORD, "allowed_users": ["*"],
        }  # fmt: skip

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"password": "hunter2"}

    async def say(self, text: str) -> None:
        if not self.room:
            self.room = await self.ada.invite(self.bot)
            await self.ada.joined_by(self.room, self.bot)
        await self.ada.say(self.room, text)

    async def read(self) -> str:
        return str((await self.ada.read())["content"]["body"])

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.kill)

    async def freeze(self) -> None:
        self.server.pause()

    async def thaw(self) -> None:
        self.server.resume()


def fresh_names(server: Synapse) -> tuple[str, str]:
    """Return names of new accounts for a bot and for somebody to talk to it."""
    bot, ada = (server.register(f"{name}-{new_id('x').lower().replace('_', '-')}") for name in ("bot", "ada"))
    return bot, ada


@asynccontextmanager
async def matrix_rehearsal(server: Synapse, directory: Path) -> AsyncIterator[MatrixRehearsal]:
    bot, ada = await asyncio.to_thread(fresh_names, server)
    async with matrix_user(server.url, ada, directory / "ada") as user:
        yield MatrixRehearsal(server, bot, user)
