"""`prx mcp login` beside a real daemon, with real servers, and the test as the user's browser."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess
from tests.support.login_servers import Guarded, authorization_server, browse, guarded_server
from tests.support.waiting import wait_until


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    async with authorization_server() as issuer, guarded_server(issuer) as found:
        yield found


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, guarded: Guarded) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "prx.toml").write_text(f'[mcp.servers.one]\nurl = "{guarded.server.url}"\n')


def ready(start_daemon: StartDaemon) -> DaemonProcess:
    daemon = start_daemon()
    daemon.event("ready")
    return daemon


def shown(daemon: DaemonProcess, *words: str) -> Any:
    return json.loads(daemon.prx(*words, "--json"))


def becomes(daemon: DaemonProcess, status: str) -> Any:
    wait_until(lambda: shown(daemon, "mcp", "info", "one")["status"] == status)
    return shown(daemon, "mcp", "info", "one")


def troubled(daemon: DaemonProcess, command: str) -> str:
    """Return what a command prints that fails where something is wrong."""
    words = [sys.executable, "-m", "prx", command, "--json"]
    done = subprocess.run(words, cwd=daemon.home, env=daemon.environment, capture_output=True, check=False)
    assert done.returncode == 1
    return done.stdout.decode()


async def log_in(daemon: DaemonProcess) -> str:
    """Run the command, open the address that it prints, and return everything that it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prx", "mcp", "login", "one", "--no-browser", "--wait", "60s"),
        cwd=daemon.home,
        env=daemon.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said: list[str] = []
    async for line in process.stdout:
        said.append(line.decode())
        if line.startswith(b"http"):
            status, page = await browse(line.decode().strip())
            assert (status, "You can close this page" in page) == (200, True)
    assert await process.wait() == 0, said
    return "".join(said)


async def test_a_user_logs_in_beside_the_daemon_and_out_again(
    start_daemon: StartDaemon, guarded: Guarded
) -> None:
    daemon = await asyncio.to_thread(ready, start_daemon)
    found = await asyncio.to_thread(becomes, daemon, "needs_auth")
    assert "log in with `prx mcp login one`" in found["error"]
    for command in ("status", "doctor"):
        assert "log in with `prx mcp login one`" in await asyncio.to_thread(troubled, daemon, command)
    said = await log_in(daemon)
    assert 'Logged in to "one", with the scopes tools.\nIt connects now' in said
    await asyncio.to_thread(becomes, daemon, "connected")
    assert await asyncio.to_thread(daemon.prx, "mcp", "call", "one", "echo") == "done"
    (refresh,) = guarded.issuer.refresh
    (access,) = guarded.issuer.access
    said = await asyncio.to_thread(daemon.prx, "mcp", "logout", "one")
    assert said.startswith('Logged out of "one"; its authorization server has forgotten the login, too.')
    assert guarded.issuer.revoked == [refresh]
    await asyncio.to_thread(becomes, daemon, "needs_auth")
    await asyncio.to_thread(daemon.stop)
    told = "\n".join(daemon.text)
    assert access not in told
    assert refresh not in told


async def test_a_login_without_a_daemon_is_what_the_next_one_has(
    start_daemon: StartDaemon,
) -> None:
    daemon = await asyncio.to_thread(ready, start_daemon)
    await asyncio.to_thread(daemon.stop)
    assert "start it with `prx daemon`" in await log_in(daemon)
    daemon = await asyncio.to_thread(ready, start_daemon)
    await asyncio.to_thread(becomes, daemon, "connected")
