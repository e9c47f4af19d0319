"""A real daemon whose chat platform is a plugin's, the sample relay: from a message to a tool's answer."""

import asyncio
import base64
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess
from tests.support.mcp_host import SCRIPT
from tests.support.platforms.relay import TOKEN, RelayServer
from tests.support.python_guests import python_sample
from tests.support.waiting import eventually, wait_until
from tests.unit.docs.documents import ROOT

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "plugins" / "relay"


def install(home: Path, url: str) -> None:
    """Put the sample where its reader would, with the address of the service."""
    plugin = home / "plugins" / "relay"
    plugin.mkdir(parents=True)
    manifest = (SAMPLE / "plugin.toml").read_text().replace("http://127.0.0.1:8640", url)
    (plugin / "plugin.toml").write_text(manifest)
    (plugin / "plugin.wasm").write_bytes(python_sample("relay", "prx:plugin/channel@0.2.0"))
    (home / "plugins" / "echo.wasm").write_bytes(component("echo"))


def store_secret(daemon: DaemonProcess) -> None:
    subprocess.run(
        [sys.executable, "-m", "prx", "secret", "set", "relay-token"],
        cwd=daemon.home, env=daemon.environment, input=TOKEN, capture_output=True, check=True, text=True,
    )  # fmt: skip


def run(step: Callable[..., Any], *words: Any) -> Any:
    return asyncio.to_thread(step, *words)


def shown(daemon: DaemonProcess, *words: str) -> Any:
    return json.loads(daemon.prx(*words, "--json"))


async def connect(daemon: DaemonProcess, relay: RelayServer) -> None:
    """Give the plugin what it asks for, and have a channel of its connected."""
    await run(daemon.event, "ready")
    await run(store_secret, daemon)
    await run(daemon.prx, "plugin", "grant", "relay", "http-outbound")

    def is_loaded() -> bool:
        return bool(shown(daemon, "plugin", "info", "relay")["capabilities"] == ["channel:relay"])

    await asyncio.to_thread(wait_until, is_loaded, within_secs=300)  # it compiles a whole Python
    add = ("team", "--type", "relay", f"url={relay.url}", 'allowed_users=["ada"]', "stream_mode=off")
    assert (await run(daemon.prx, "channel", "add", *add)).startswith("team is added")
    await run(wait_until, lambda: shown(daemon, "channel", "list")["channels"][0]["status"] == "connected")


async def test_a_tool_answers_over_the_channel_of_a_plugin_before_and_after_a_restart(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    async with RelayServer() as relay:
        install(tmp_path, relay.url)
        (tmp_path / "prx.toml").write_text("[plugins]\nallow_private_targets = true\n")

        daemon = await run(start_daemon)
        await connect(daemon, relay)
        relay.say('/echo {"text": "hello"}')
        await eventually(lambda: relay.texts == ["hello"])
        assert (await run(shown, daemon, "channel", "doctor", "team"))["healthy"]
        assert (await run(shown, daemon, "channel", "info", "team"))["health"]["healthy"]
        assert await run(daemon.stop) == 0

        relay.say('/echo {"text": "while it was away"}')
        daemon = await run(start_daemon)
        await eventually(lambda: relay.texts == ["hello", "while it was away"])
        assert await run(daemon.stop) == 0
        assert TOKEN not in "".join(daemon.text)


async def test_a_file_that_a_server_drew_is_sent_once_though_the_daemon_is_killed_in_between(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    async with RelayServer() as relay:
        install(tmp_path, relay.url)
        server = f"command = {json.dumps(sys.executable)}\nargs = {json.dumps(['-S', str(SCRIPT)])}\n"
        plugins = "[plugins]\nallow_private_targets = true\n"
        (tmp_path / "prx.toml").write_text(f"{plugins}[mcp.servers.files]\n{server}")
        daemon = await run(start_daemon)
        await connect(daemon, relay)
        await run(wait_until, lambda: shown(daemon, "mcp", "list")["servers"][0]["status"] == "connected")

        drawn = {"type": "image", "data": base64.b64encode(b"a picture").decode(), "mimeType": "image/png"}
        relay.takes_files = False
        # In a group, where the message begins with who says it.
        relay.say(f"/mcp__files__giving {json.dumps({'content': [drawn]})}", room="garden", name="Ada")
        await eventually(lambda: relay.refused_files == 1, within_secs=60)
        assert await run(daemon.stop, signal.SIGKILL) != 0

        relay.takes_files = True
        daemon = await run(start_daemon)
        await eventually(lambda: len(relay.texts) == 2, within_secs=60)
        assert relay.texts == ["[image image/png]", ""]
        assert relay.sent_files == [("image.png", "image/png", b"a picture")]
        assert await run(daemon.stop) == 0
