"""The emulated Discord counts for something because discord.py takes it for the real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.platform_clients import PlatformClient, platform_client
from tests.support.platforms.discord import BOT_ID, CHANNEL, TOKEN, DiscordServer
from tests.support.platforms.discord_gateway import RECONNECT
from tests.support.waiting import eventually

# The client's environment is made for the Python that the locked versions are for.
pytestmark = pytest.mark.slow


@pytest.fixture
async def discord() -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as server:
        yield server


@pytest.fixture
async def client(discord: DiscordServer, client_python: Path) -> AsyncIterator[PlatformClient]:
    async with platform_client(client_python, "discord", discord.url, TOKEN) as client:
        yield client


async def test_a_bot_of_discord_py_talks_to_it(discord: DiscordServer, client: PlatformClient) -> None:
    assert (await client.tells("invalid"))["error"] == "Improper token has been passed."
    assert await client.tells("ready") == {"what": "ready", "user": BOT_ID, "guilds": ["Guild"]}
    discord.say("hello")
    heard = await client.tells("heard")
    assert (heard["content"], heard["author"], heard["mentioned"]) == ("hello", "111", False)
    assert (await client.tells("own"))["content"] == "hello"
    discord.say(f"<@{BOT_ID}> there", channel=CHANNEL, mentions=[discord.bot])
    assert (await client.tells("heard"))["mentioned"]
    await eventually(lambda: discord.texts == ["hello", f"<@{BOT_ID}> there"])


async def test_discord_py_understands_what_it_answers(discord: DiscordServer, client: PlatformClient) -> None:
    await client.tells("ready")
    discord.throttle(0.1)
    discord.say("explore")
    assert (await client.tells("edited"))["content"] == "second"
    reply = await client.tells("reply")
    assert reply["to"] == reply["asked"]
    assert (await client.tells("file"))["content"] == "content"
    assert await client.tells("once") == {"what": "once", "same": True, "nonce": "the same"}
    assert await client.tells("long") == {"what": "long", "status": 400, "code": 50035}
    assert await client.tells("empty") == {"what": "empty", "status": 400, "code": 50006}
    assert (await client.tells("unknown"))["code"] == 10003
    assert (await client.tells("history"))["contents"] == ["a reply", "see", "once"]
    assert discord.typed
    assert discord.sent[0]["asked"]["allowed_mentions"] == {"parse": []}


async def test_discord_py_resumes_and_hears_what_it_missed(
    discord: DiscordServer, client: PlatformClient
) -> None:
    await client.tells("ready")
    discord.gateway.tell(RECONNECT)
    await client.tells("resumed")
    await discord.stop()
    await client.tells("disconnected")
    discord.say("while it was down")
    await discord.start()
    assert (await client.tells("heard"))["content"] == "while it was down"
    assert (discord.gateway.identified, discord.gateway.resumed) == (1, 2)


async def test_discord_py_ends_where_an_intent_is_not_allowed(
    discord: DiscordServer, client_python: Path
) -> None:
    discord.privileged = 0
    async with platform_client(client_python, "discord", discord.url, TOKEN) as client:
        assert (await client.tells("ended"))["error"] == "PrivilegedIntentsRequired"
