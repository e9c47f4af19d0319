"""MCP servers of a real daemon: configured in its file, driven by the command line, ended with it."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.mcp_host import SCRIPT
from tests.support.processes import is_running
from tests.support.waiting import wait_until


def table(name: str, *behaviour: str, more: str = "") -> str:
    arguments = json.dumps(["-S", str(SCRIPT), *behaviour])
    return f"[mcp.servers.{name}]\ncommand = {json.dumps(sys.executable)}\nargs = {arguments}\n{more}\n"


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path) -> None:
    """Hold the directory that a configuration file brings with it."""
    (tmp_path / "plugins").mkdir()


@pytest.fixture
def daemon(start_daemon: StartDaemon, tmp_path: Path) -> DaemonProcess:
    hanging = table("slow", "hangs")
    (tmp_path / "prx.toml").write_text(table("one", "stubborn", "with-child") + hanging)
    return start_daemon()


def shown(daemon: DaemonProcess, *words: str) -> Any:
    return json.loads(daemon.prx(*words, "--json"))


def status(daemon: DaemonProcess, name: str) -> str:
    return str({row["name"]: row["status"] for row in shown(daemon, "mcp", "list")["servers"]}[name])


def refused(daemon: DaemonProcess, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "prx", *words]
    done = subprocess.run(
        command, cwd=daemon.home, env=daemon.environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_servers_are_driven_from_the_command_line_and_end_with_the_daemon(daemon: DaemonProcess) -> None:
    daemon.event("ready")
    wait_until(lambda: status(daemon, "one") == "connected")
    assert status(daemon, "slow") == "connecting", (
        "a server that hangs kept neither the boot nor its neighbour"
    )
    assert refused(daemon, "mcp", "call", "slow", "echo") == (
        1,
        'prx: MCP server "slow" is connecting, so that "echo" cannot be called; `prx mcp info slow` tells more\n',
    )
    assert daemon.prx("mcp", "call", "one", "echo", '{"text": "hello"}') == "hello"
    info = shown(daemon, "mcp", "info", "one")
    assert (info["protocol_version"], info["offered"]["echo"]) == ("2025-06-18", "mcp__one__echo")
    assert "mcp__one__echo" in daemon.prx("mcp", "tools", "one")
    assert "one is connected." in daemon.prx("mcp", "info", "one")
    assert refused(daemon, "mcp", "call", "one", "nothing") == (
        1,
        'prx: MCP server "one" has no tool "nothing"; `prx mcp tools one` lists them\n',
    )
    assert daemon.prx("mcp", "reconnect", "one") == "one is reconnecting."
    wait_until(lambda: status(daemon, "one") == "connected")
    assert shown(daemon, "mcp", "info", "one")["pid"] != info["pid"]
    child = int(daemon.prx("mcp", "call", "one", "child"))
    pid = int(shown(daemon, "mcp", "info", "one")["pid"])
    assert daemon.stop() == 0
    wait_until(lambda: not is_running(pid) and not is_running(child))


def test_a_changed_configuration_acts_on_the_servers_that_it_names(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    daemon.event("ready")
    wait_until(lambda: status(daemon, "one") == "connected")
    pid = shown(daemon, "mcp", "info", "one")["pid"]
    (tmp_path / "prx.toml").write_text(
        table("one", "stubborn", "with-child") + table("two", more="deny_tools = ['die']")
    )
    wait_until(lambda: "two" in daemon.prx("mcp", "list") and status(daemon, "two") == "connected")
    assert shown(daemon, "mcp", "info", "one")["pid"] == pid
    assert [row["name"] for row in shown(daemon, "mcp", "list")["servers"]] == ["one", "two"]
    assert daemon.prx("mcp", "disable", "two") == "two is disabled."
    assert refused(daemon, "mcp", "reconnect", "two")[0] == 1
    assert daemon.prx("mcp", "enable", "two") in ("two is connecting.", "two is connected.")


def test_a_call_that_hangs_at_a_server_is_given_up_with_the_drain_and_the_server_told(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    notes, touched = tmp_path / "notes", tmp_path / "touched"
    (tmp_path / "prx.toml").write_text("[daemon]\ndrain_secs = 1\n" + table("one", f"notes={notes}"))
    daemon = start_daemon()
    url = daemon.event("ready")["url"]
    wait_until(lambda: status(daemon, "one") == "connected")
    path, arguments = f"{url}/tools/mcp__one__never/call", {"arguments": {"touch": str(touched)}}
    with ThreadPoolExecutor(1) as callers:
        answering = callers.submit(call, path, daemon.token(), arguments)
        wait_until(touched.exists)
        assert daemon.stop() == 0
        code, answer = answering.result()
    assert (code, answer["error"]["code"]) == (503, "unavailable")
    assert notes.read_text() == "nobody waits for it any more\n"


def test_a_server_that_fails_is_found_by_the_doctor_and_degrades_the_daemon(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "prx.toml").write_text(table("broken", "exits"))
    daemon = start_daemon()
    url, token = daemon.event("ready")["url"], daemon.token()
    wait_until(lambda: call(f"{url}/status", token)[1]["status"] == "degraded")
    (problem,) = call(f"{url}/status", token)[1]["problems"]
    assert problem["unit"] == "mcp.broken"
    assert "there is no license" in problem["reason"]
    code, _ = refused(daemon, "doctor")
    assert code == 1
    assert said(daemon, "doctor").count('the MCP server "broken"') == 1


def test_a_secret_that_a_server_complains_about_is_in_no_answer_and_no_log(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "prx.toml").write_text(
        table("broken", "exits", "tells=API_KEY", more="env = { API_KEY = 'canary-of-the-server' }")
    )
    daemon = start_daemon()
    daemon.event("ready")
    wait_until(lambda: status(daemon, "broken") == "disconnected")
    assert "and the key ***REDACTED*** is none" in daemon.prx("mcp", "info", "broken")
    for words in (("mcp", "list"), ("status",), ("logs",), ("config", "show"), ("doctor",)):
        assert "canary" not in said(daemon, *words)
    daemon.stop()
    assert "canary" not in "".join(daemon.text)


def said(daemon: DaemonProcess, *words: str) -> str:
    command = [sys.executable, "-m", "prx", *words]
    done = subprocess.run(
        command, cwd=daemon.home, env=daemon.environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_without_servers_the_sdk_is_not_imported(start_daemon: StartDaemon, tmp_path: Path) -> None:
    (tmp_path / "prx.toml").write_text("[mcp.servers.off]\ncommand = 'x'\nenabled = false\n")
    daemon = start_daemon(environment={"PYTHONPROFILEIMPORTTIME": "1"})
    daemon.event("ready")
    assert daemon.stop() == 0
    imported = {line.rpartition("|")[2].strip() for line in daemon.text if line.startswith("import time:")}
    assert "prx.mcp.client.manager" in imported
    assert not {name for name in imported if name == "mcp" or name.startswith(("mcp.", "mcp_types"))}
