"""The emulated Telegram counts for something because python-telegram-bot takes it for the real one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.platform_clients import PlatformClient, platform_client
from tests.support.platforms.telegram import BOT_ID, TOKEN, TelegramServer
from tests.support.waiting import eventually

# The client's environment is made for the Python that the locked versions are for.
pytestmark = pytest.mark.slow


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


@pytest.fixture
async def client(telegram: TelegramServer, client_python: Path) -> AsyncIterator[PlatformClient]:
    async with platform_client(client_python, "telegram", telegram.url, TOKEN) as client:
        yield client


async def test_a_bot_of_python_telegram_bot_talks_to_it(
    telegram: TelegramServer, client: PlatformClient
) -> None:
    assert await client.tells("invalid")
    await client.tells("ready")
    telegram.say("hello")
    heard = await client.tells("heard")
    assert (heard["text"], heard["sender"]) == ("hello", 111)
    await eventually(lambda: telegram.texts == ["hello"])
    telegram.say("/start now")
    assert (await client.tells("heard"))["entities"] == [["bot_command", 0, 6]]
    await eventually(lambda: telegram.waiting == 0)


async def test_python_telegram_bot_understands_what_it_refuses(
    telegram: TelegramServer, client: PlatformClient
) -> None:
    await client.tells("ready")
    telegram.gone.add("999")
    telegram.say("explore")
    assert await client.tells("me") == {"what": "me", "username": "prx_test_bot", "id": BOT_ID}
    assert (await client.tells("sent"))["text"] == "bold & x"
    assert (await client.tells("edited"))["text"] == "other"
    assert (await client.tells("unchanged"))["error"].startswith("Message is not modified")
    assert "find end tag" in (await client.tells("entities"))["error"]
    assert (await client.tells("long"))["error"] == "Message is too long"
    assert (await client.tells("whole"))["units"] == 4096
    assert (await client.tells("empty"))["error"] == "Message text is empty"
    assert (await client.tells("file"))["content"] == "content"
    assert (await client.tells("photo"))["size"] == 4
    assert "blocked" in (await client.tells("gone"))["error"]
    assert (await client.tells("webhook"))["url"] == ""
    assert telegram.actions == [("111", "typing")]
    telegram.throttle(7)
    telegram.say("too much")
    assert (await client.tells("throttled"))["secs"] == 7


async def test_python_telegram_bot_hears_of_a_second_poller_and_goes_on_after_a_restart(
    telegram: TelegramServer, client: PlatformClient
) -> None:
    await client.tells("ready")
    await eventually(lambda: telegram.is_polled)
    second = asyncio.create_task(telegram.poll())
    assert "terminated by other getUpdates" in (await client.tells("conflict"))["error"]
    await second
    await telegram.stop()
    await client.tells("polling failed")
    telegram.say("while it was down")
    await telegram.start()
    assert (await client.tells("heard"))["text"] == "while it was down"
