"""The emulated platforms for the tests that every adapter passes."""

from abc import abstractmethod
from typing import Any

from tests.support.channel_kit import Rehearsal
from tests.support.platforms import discord, slack, telegram
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


class DiscordRehearsal(EmulatedRehearsal):
    kind = "discord"
    server: discord.DiscordServer

    def __init__(self, server: discord.DiscordServer) -> None:
        super().__init__()
        self.server = server

    def table(self) -> dict[str, Any]:
        return {"bot_token": discord.TOKEN, "base_url": f"{self.server.url}/api/v10"}

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"bot_token": "hunter2"}

    async def say(self, text: str) -> None:
        self.server.say(text)

    @property
    def shown(self) -> list[str]:
        return self.server.texts


class SlackRehearsal(EmulatedRehearsal):
    kind = "slack"
    server: slack.SlackServer

    def __init__(self, server: slack.SlackServer) -> None:
        super().__init__()
        self.server = server

    def table(self) -> dict[str, Any]:
        return {
            "bot_token": slack.BOT_TOKEN,
            "app_token": slack.APP_TOKEN,
            "base_url": f"{self.server.url}/api",
        }

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"bot_token": "xoxb-hunter2"}

    async def say(self, text: str) -> None:
        self.server.say(text)

    @property
    def shown(self) -> list[str]:
        return self.server.texts


class TelegramRehearsal(EmulatedRehearsal):
    kind = "telegram"
    server: telegram.TelegramServer

    def __init__(self, server: telegram.TelegramServer) -> None:
        super().__init__()
        self.server = server

    def table(self) -> dict[str, Any]:
        return {"bot_token": telegram.TOKEN, "base_url": self.server.url, "mention_only": True}

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"bot_token": "7000000001:hunter2"}

    async def say(self, text: str) -> None:
        self.server.say(text)

    @property
    def shown(self) -> list[str]:
        return self.server.texts
