"""Channels of a real daemon that are connected anew again and again: nothing of their earlier lives is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.certificates import certificate
from tests.support.channel_kit import Rehearsal
from tests.support.platforms.discord import DiscordServer
from tests.support.platforms.slack import SlackServer
from tests.support.platforms.telegram import TelegramServer
from tests.support.rehearsals.emulated import DiscordRehearsal, SlackRehearsal, TelegramRehearsal
from tests.support.rehearsals.irc import irc_rehearsal
from tests.support.rehearsals.mqtt import mqtt_rehearsal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
__all__ = ["certificate"]
_RESTARTS = 24
_MORE_BY_CHANCE = 8
"""The threads that the event loop has for files, and a connection each: how many are there depends on the moment."""


@pytest.fixture
async def platforms(certificate: Path) -> AsyncIterator[dict[str, Rehearsal]]:
    """Yield by name those that take no second to log in to."""
    async with AsyncExitStack() as stack:
        found: list[Rehearsal] = [
            TelegramRehearsal(await stack.enter_async_context(TelegramServer())),
            DiscordRehearsal(await stack.enter_async_context(DiscordServer())),
            SlackRehearsal(await stack.enter_async_context(SlackServer())),
            await stack.enter_async_context(irc_rehearsal(certificate)),
            await stack.enter_async_context(mqtt_rehearsal(certificate)),
        ]
        yield {rehearsal.kind: rehearsal for rehearsal in found}


class Life:
    """A daemon with a channel on each platform."""

    def __init__(self, start_daemon: StartDaemon, home: Path, tables: dict[str, Any]) -> None:
        (home / "prx.toml").write_text(tomli_w.dumps({"channels_config": tables}))
        self.daemon: DaemonProcess = start_daemon(environment={"PRX__GATEWAY__RATE_LIMITS__OTHER": "0"})
        self._url, self._token = self.daemon.event("ready")["url"], self.daemon.token()
        self._names = [*tables]
        wait_until(lambda: self._connected_at() is not None)

    def connect_all_anew(self) -> None:
        """Have every channel another connection, all at once."""
        before = self._connected_at()
        assert before is not None
        for name in self._names:
            assert call(f"{self._url}/channels/{name}/restart", self._token, {})[0] == 200

        def is_done() -> bool:
            now = self._connected_at()
            return now is not None and all(now[name] > before[name] for name in self._names)

        wait_until(is_done)

    def held(self) -> tuple[int, int]:
        """Return how many open files and threads it has."""
        process = Path("/proc") / str(self.daemon.process.pid)
        return len([*(process / "fd").iterdir()]), len([*(process / "task").iterdir()])

    def _connected_at(self) -> dict[str, str] | None:
        """Return since when each is connected, once all are."""
        listed = call(f"{self._url}/channels", self._token)[1]["channels"]
        if any(channel["status"] != "connected" for channel in listed):
            return None
        return {channel["name"]: channel["connected_at"] for channel in listed}


async def test_24_restarts_in_a_row_leave_neither_files_nor_threads(
    platforms: dict[str, Rehearsal], start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    shared = {"allowed_users": ["*"], "stream_mode": "off"}
    tables = {kind: {"type": kind} | each.table() | shared for kind, each in platforms.items()}
    life = await asyncio.to_thread(Life, start_daemon, tmp_path, tables)
    # The first ones may warm up what stays.
    for _ in range(2):
        await asyncio.to_thread(life.connect_all_anew)
    before = life.held()
    for _ in range(_RESTARTS):
        await asyncio.to_thread(life.connect_all_anew)

    def is_as_before() -> bool:
        # A leak is one for each restart.
        return all(now <= then + _MORE_BY_CHANCE for now, then in zip(life.held(), before, strict=True))

    await asyncio.to_thread(wait_until, is_as_before)
    for rehearsal in platforms.values():
        await rehearsal.say("/status")
        assert (await rehearsal.read()).startswith("Connected over ")
    assert await asyncio.to_thread(life.daemon.stop) == 0
