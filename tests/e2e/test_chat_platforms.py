"""A real daemon on the emulated platforms: from a message by way of a plugin's tool to the answer, through outages."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.platforms.discord import DiscordServer
from tests.support.platforms.slack import SlackServer
from tests.support.platforms.telegram import TelegramServer
from tests.support.rehearsals.emulated import (
    DiscordRehearsal,
    EmulatedRehearsal,
    SlackRehearsal,
    TelegramRehearsal,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(params=["telegram", "discord", "slack"])
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[EmulatedRehearsal]:
    made: EmulatedRehearsal
    match request.param:
        case "telegram":
            made = TelegramRehearsal(TelegramServer())
        case "discord":
            made = DiscordRehearsal(DiscordServer())
        case _:
            made = SlackRehearsal(SlackServer())
    async with made.server:
        yield made


class Talk:
    """A user on a platform, and the daemon that answers there."""

    def __init__(self, platform: EmulatedRehearsal, start_daemon: StartDaemon, home: Path) -> None:
        plugins = home / "plugins"
        plugins.mkdir()
        (plugins / "echo.wasm").write_bytes(component("echo"))
        # Secrets come from the environment, as operators are told to do it.
        self._secrets = {
            key.upper(): value for key, value in platform.table().items() if key.endswith("token")
        }
        named = {key: f"env:{key.upper()}" for key in platform.table() if key.endswith("token")}
        table = platform.table() | named | {"allowed_users": ["*"], "mention_only": True}
        keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
        (home / "prx.toml").write_text(f"[channels_config.{platform.kind}]\n{keys}\n")
        self.platform = platform
        self._start_daemon = start_daemon
        self.daemon: DaemonProcess
        self._url = self._token = ""

    async def start(self) -> None:
        """Start the daemon and wait until it is connected."""
        self.daemon = await asyncio.to_thread(self._start_daemon, environment=self._secrets)
        self._url = (await asyncio.to_thread(self.daemon.event, "ready"))["url"]
        self._token = await asyncio.to_thread(self.daemon.token)
        await self.becomes("connected")

    async def becomes(self, status: str) -> dict[str, Any]:
        """Return what the list of channels says once the channel has this status."""
        async with asyncio.timeout(60):
            while True:
                _, listed = await asyncio.to_thread(call, f"{self._url}/channels", self._token)
                (channel,) = listed["channels"]
                if channel["status"] == status:
                    return dict(channel)

    async def diagnosis(self) -> dict[str, Any]:
        """Return what the doctor says about the channel."""
        command = ("channel", "doctor", self.platform.kind, "--json")
        return dict(json.loads(await asyncio.to_thread(self.daemon.prx, *command)))

    async def say(self, text: str) -> None:
        await self.platform.say(f"/echo {json.dumps({'text': text})}")

    async def asks(self, text: str) -> None:
        """Have the user say something that a tool answers with the same, and read that."""
        await self.say(text)
        assert await self.platform.read() == text


@pytest.fixture
async def talk(platform: EmulatedRehearsal, start_daemon: StartDaemon, tmp_path: Path) -> AsyncIterator[Talk]:
    talk = Talk(platform, start_daemon, tmp_path)
    await talk.start()
    yield talk
    assert await asyncio.to_thread(talk.daemon.stop) == 0


async def test_a_tool_answers_through_outages_of_the_platform_and_of_the_daemon(talk: Talk) -> None:
    await talk.asks("hello")
    assert (await talk.becomes("connected"))["active_sessions"] == 1

    talk.platform.server.throttle(1)
    await talk.asks("one that the platform wants later")

    await talk.platform.stop()
    await talk.becomes("reconnecting")
    await talk.say("while the platform was away")
    await talk.platform.start()
    assert await talk.platform.read() == "while the platform was away"

    assert await asyncio.to_thread(talk.daemon.stop) == 0
    await talk.say("while the daemon was away")
    assert (await talk.diagnosis())["healthy"]  # which takes no message
    await talk.start()
    assert await talk.platform.read() == "while the daemon was away"
    await talk.asks("and now")
    assert talk.platform.shown == [
        "hello",
        "one that the platform wants later",
        "while the platform was away",
        "while the daemon was away",
        "and now",
    ]


async def test_what_a_killed_daemon_did_not_hear_to_be_said_is_said_again_and_there_once_on_discord(
    talk: Talk,
) -> None:
    kind = talk.platform.kind
    await asyncio.to_thread(talk.daemon.prx, "config", "set", f"channels_config.{kind}.stream_mode", "off")
    await talk.asks("before")
    talk.platform.server.withhold()
    await talk.asks("hello")
    talk.daemon.process.kill()
    talk.platform.server.confirm()
    await talk.start()
    await talk.say("after")
    await eventually(lambda: "after" in talk.platform.shown, within_secs=60)
    again = [] if kind == "discord" else ["hello"]
    assert talk.platform.shown == ["before", "hello", *again, "after"]


async def test_a_token_that_is_revoked_is_told_and_a_new_one_connects(talk: Talk) -> None:
    key = f"channels_config.{talk.platform.kind}.bot_token"
    await asyncio.to_thread(talk.daemon.prx, "config", "set", key, "hunter2")
    assert (await talk.becomes("disconnected"))["error"] == "Invalid bot token"
    await asyncio.to_thread(talk.daemon.prx, "config", "unset", key)
    await talk.becomes("connected")
    await talk.asks("hello")
    assert "hunter2" not in "".join(talk.daemon.text)


async def test_who_asks_to_be_let_in_is_approved_with_the_code(talk: Talk) -> None:
    async def prx(*words: str) -> str:
        return await asyncio.to_thread(talk.daemon.prx, "channel", *words)

    kind = talk.platform.kind
    key = f"channels_config.{kind}.allowed_users"
    await asyncio.to_thread(talk.daemon.prx, "config", "set", key, "[]")
    assert await prx("approve") == "Nobody waits to be let in."
    await talk.platform.say("is anybody there?")
    await talk.platform.say("/pair")
    told = await talk.platform.read()
    [waiting] = json.loads(await prx("approve", "--json"))["pairings"]
    assert (waiting["channel"], f"prx channel approve {waiting['code']}" in told) == (kind, True)
    head, row = (await prx("approve")).splitlines()
    assert head.split() == ["CODE", "CHANNEL", "USER", "NAME", "ASKED"]
    assert row.split()[:3] == [waiting["code"], kind, waiting["sender"]]

    assert await prx("approve", waiting["code"]) == f"{waiting['sender']} may talk over {kind}."
    assert await talk.platform.read() == "You can talk to me now."
    await talk.asks("hello")
    assert len(talk.platform.shown) == 3  # nothing to what was asked before
    assert json.loads(await prx("approve", "--json")) == {"pairings": []}
