"""The emulated Slack counts for something because slack-sdk takes it for the real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.platform_clients import PlatformClient, platform_client
from tests.support.platforms.slack import APP_TOKEN, BOT, BOT_TOKEN, SlackServer
from tests.support.waiting import eventually

# The client's environment is made for the Python that the locked versions are for.
pytestmark = pytest.mark.slow


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
async def client(slack: SlackServer, client_python: Path) -> AsyncIterator[PlatformClient]:
    async with platform_client(client_python, "slack", slack.url, APP_TOKEN, BOT_TOKEN) as client:
        yield client


async def test_a_bot_of_slack_sdk_talks_to_it(slack: SlackServer, client: PlatformClient) -> None:
    assert (await client.tells("invalid"))["error"] == "invalid_auth"
    await client.tells("ready")
    slack.say("hello")
    assert (await client.tells("heard"))["user"] == "UADA"
    assert (await client.tells("own"))["text"] == "hello"
    await eventually(lambda: slack.sockets.unacknowledged == 0)
    assert len(slack.sockets.acknowledged) == 2


async def test_slack_sdk_understands_what_it_answers(slack: SlackServer, client: PlatformClient) -> None:
    await client.tells("ready")
    slack.say("explore")
    me = await client.tells("me")
    assert (me["user"], "chat:write" in me["scopes"]) == (BOT, True)
    assert (await client.tells("edited"))["text"] == "second"
    replies = await client.tells("replies")
    assert (replies["texts"], replies["thread"]) == (["second", "in thread"], slack.sent[0]["ts"])
    await client.tells("uploaded")
    assert [content for _, content in slack.shared] == [b"content"]
    assert (await client.tells("history"))["texts"] == ["second"]
    assert (await client.tells("unknown"))["error"] == "channel_not_found"
    assert (await client.tells("long"))["error"] == "msg_too_long"
    slack.throttle(7)
    slack.say("too much")
    assert await client.tells("throttled") == {"what": "throttled", "error": "ratelimited", "after": "7"}


async def test_slack_sdk_connects_anew_when_told_to_and_hears_what_it_missed(
    slack: SlackServer, client: PlatformClient
) -> None:
    await client.tells("ready")
    slack.sockets.disconnect("refresh_requested")
    await eventually(lambda: slack.sockets.opened == 2 and len(slack.sockets.connections) == 1)
    await slack.stop()
    slack.say("while it was down")
    await slack.start()
    assert (await client.tells("heard"))["text"] == "while it was down"
