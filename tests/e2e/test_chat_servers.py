"""A real daemon on real chat servers: questions are answered by a plugin's tool, whatever ends in between."""

import asyncio
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import call
from tests.support.certificates import certificate
from tests.support.rehearsals.platforms import PLATFORMS
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
__all__ = ["certificate"]


class Life:
    """One life of a daemon that is connected as `table` says, with a plugin's tool."""

    def __init__(self, start_daemon: StartDaemon, home: Path, table: dict[str, Any]) -> None:
        plugins = home / "plugins"
        plugins.mkdir(exist_ok=True)
        (plugins / "echo.wasm").write_bytes(component("echo"))
        tables = {"plugins": {"directory": str(plugins)}, "channels_config": {"chat": table}}
        (home / "prx.toml").write_text(tomli_w.dumps(tables))
        self.daemon = start_daemon()
        self._url, self._token = self.daemon.event("ready")["url"], self.daemon.token()
        self.becomes("connected")
        [tool] = self._get("/tools")["tools"]
        self.tool: str = tool["name"]

    def becomes(self, status: str) -> None:
        wait_until(lambda: self._get("/channels")["channels"][0]["status"] == status)

    def settles(self) -> None:
        """Wait until it knows of each answer that the platform has it: before, it would send it again."""
        request = urllib.request.Request(f"{self._url.removesuffix('/api/v1')}/metrics")  # noqa: S310
        request.add_header("Authorization", f"Bearer {self._token}")

        def is_done() -> bool:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return "\nprx_channel_conversations 0" in answer.read().decode()

        wait_until(is_done)

    def _get(self, path: str) -> dict[str, Any]:
        return call(f"{self._url}{path}", self._token)[1]


@pytest.mark.parametrize("kind", PLATFORMS)
async def test_a_tool_answers_over_a_chat_server_and_no_end_of_either_loses_a_question(
    kind: str, certificate: Path, pytestconfig: pytest.Config, tmp_path: Path, start_daemon: StartDaemon
) -> None:
    cache = pytestconfig.cache.mkdir("synapse")
    async with PLATFORMS[kind](certificate, cache, tmp_path) as rehearsal:
        table = rehearsal.table() | {"type": kind, "allowed_users": ["*"], "stream_mode": "off"}
        life = await asyncio.to_thread(Life, start_daemon, tmp_path, table)

        async def ask(text: str) -> None:
            await rehearsal.say(f'/{life.tool} {{"text": "{text}"}}')

        await ask("one")
        assert await rehearsal.read() == "one"

        await asyncio.to_thread(life.settles)
        await rehearsal.stop()
        await asyncio.to_thread(life.becomes, "reconnecting")
        await rehearsal.start()
        await asyncio.to_thread(life.becomes, "connected")
        await ask("two")
        assert await rehearsal.read() == "two"

        await asyncio.to_thread(life.settles)
        await asyncio.to_thread(life.daemon.stop, signal.SIGKILL)
        if rehearsal.keeps_messages:
            await ask("three")
        life = await asyncio.to_thread(Life, start_daemon, tmp_path, table)
        if rehearsal.keeps_messages:
            assert await rehearsal.read() == "three"
        await ask("four")
        assert await rehearsal.read() == "four"
        assert await asyncio.to_thread(life.daemon.stop) == 0
