"""Channels of a real daemon: what is configured is listed, follows the configuration, and can be told what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prx.config.channels import PLATFORMS
from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.e2e.pushes import SECRET, pushed
from tests.support.waiting import wait_until

REASON = (
    f'this PRX has no adapter for channels of the type "pigeon", it has those for {", ".join(sorted(PLATFORMS))}: '
    "correct channels_config.pigeon.type, load the plugin that brings it, "
    "or set channels_config.pigeon.enabled to false"
)


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path) -> None:
    """Hold the directory that a configuration file brings with it."""
    (tmp_path / "plugins").mkdir()


@pytest.fixture
def daemon(start_daemon: StartDaemon, tmp_path: Path) -> DaemonProcess:
    (tmp_path / "prx.toml").write_text(
        "[channels_config.pigeon]\nbot_token = 'hunter2'\nallowed_users = ['1']\n"
        "[channels_config.off]\nenabled = false\n"
    )
    return start_daemon()


def shown(daemon: DaemonProcess, *words: str) -> Any:
    return json.loads(daemon.prx(*words, "--json"))


def test_a_channel_without_an_adapter_says_so_everywhere_and_stops_nothing(daemon: DaemonProcess) -> None:
    url, token = daemon.event("ready")["url"], daemon.token()
    _, listed = call(f"{url}/channels", token)
    assert listed == {
        "channels": [
            {"name": "off", "status": "disabled"},
            {"name": "pigeon", "status": "disconnected", "error": REASON},
        ]
    }
    assert call(f"{url}/channels/pigeon/health", token) == (
        200,
        {"name": "pigeon", "healthy": False, "error": REASON},
    )
    _, status = call(f"{url}/status", token)
    assert (status["status"], status["channels"]) == ("degraded", {"connected": 0, "total": 2})
    (problem,) = status["problems"]
    assert (problem["unit"], problem["reason"], problem["action"]) == (
        "channel.pigeon", REASON, "remove the cause, then `prx channel restart pigeon`",
    )  # fmt: skip
    assert call(f"{url}/channels/pigeon/restart", token, {}) == (
        200,
        {"name": "pigeon", "status": "reconnecting"},
    )
    assert call(f"{url}/channels/off/restart", token, {})[0] == 409

    assert shown(daemon, "channel", "list") == listed
    assert daemon.prx("channel", "list").splitlines()[0].split() == [
        "NAME",
        "STATUS",
        "CONNECTED",
        "SESSIONS",
    ]
    assert daemon.prx("channel", "info", "pigeon").startswith("pigeon is disconnected.\nNot healthy:")
    assert shown(daemon, "channel", "info", "off")["health"]["error"] == "it is disabled"
    assert daemon.prx("channel", "restart", "pigeon") == "pigeon is reconnecting."

    # Once it is off, nothing is wrong any more.
    daemon.prx("config", "set", "channels_config.pigeon.enabled", "false")
    assert call(f"{url}/status", token)[1]["status"] == "healthy"
    assert call(f"{url}/channels", token)[1]["channels"][1] == {"name": "pigeon", "status": "disabled"}
    daemon.prx("config", "set", "channels_config.pigeon.enabled", "true")
    assert call(f"{url}/channels", token)[1] == listed
    assert daemon.stop() == 0
    assert "hunter2" not in "".join(daemon.text)


def test_a_daemon_told_to_connect_none_is_not_degraded_for_it(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "prx.toml").write_text("[channels_config.pigeon]\n")
    daemon = start_daemon("--no-channels")
    url, token = daemon.event("ready")["url"], daemon.token()
    assert call(f"{url}/channels", token)[1] == {"channels": [{"name": "pigeon", "status": "disabled"}]}
    assert call(f"{url}/status", token)[1]["status"] == "healthy"
    status, refused = call(f"{url}/channels/pigeon/restart", token, {})
    assert (status, refused["error"]["message"]) == (
        409, 'channel "pigeon" is disabled: the daemon runs with --no-channels',
    )  # fmt: skip


def test_a_channel_is_added_examined_and_removed(start_daemon: StartDaemon, tmp_path: Path) -> None:
    (tmp_path / "prx.toml").write_text("[channels_config.pigeon]\nallowed_users = ['1']\n")
    daemon = start_daemon()
    daemon.event("ready")
    added = daemon.prx(
        "channel", "add", "chat", "--type", "irc", "server=127.0.0.1", "port=1", "nick=prx", "tls=false"
    )
    assert added.startswith("chat is added")
    assert {row["name"] for row in shown(daemon, "channel", "list")["channels"]} == {"chat", "pigeon"}
    assert "there is a channel" in fails(daemon, "channel", "add", "chat", "--type", "irc")
    assert "there is no platform" in fails(daemon, "channel", "add", "other")
    assert "whose name is empty" in fails(daemon, "channel", "info", "")
    assert "unknown key" in fails(daemon, "channel", "add", "irc", "server=x", "nick=y", "sever=x")
    examined = subprocess.run(
        [sys.executable, "-m", "prx", "channel", "doctor", "chat", "--json"],
        cwd=daemon.home, env=daemon.environment, capture_output=True, check=False, text=True,
    )  # fmt: skip
    found = json.loads(examined.stdout)
    assert (examined.returncode, found["healthy"]) == (1, False)
    assert all(finding["what"] for finding in found["findings"])
    added = daemon.prx(
        "channel", "add", "our chat", "--type", "irc", "server=127.0.0.1", "nick=prx", "enabled=false"
    )
    assert "prx channel doctor 'our chat'" in added
    daemon.prx("channel", "remove", "our chat")
    assert daemon.prx("channel", "remove", "chat") == "chat is removed."
    # What only the overlay had is gone already.
    daemon.prx("config", "set", "channels_config.pigeon.mention_only", "true")
    assert daemon.prx("channel", "remove", "pigeon") == (
        f"pigeon is disabled: take its table out of {tmp_path / 'prx.toml'} as well."
    )
    assert shown(daemon, "channel", "list")["channels"] == [{"name": "pigeon", "status": "disabled"}]


def test_the_doctor_needs_only_the_secrets_of_the_channel_it_looks_at(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    tables = [f"[channels_config.{name}]\ntype = 'webhook'\nsecret = 'env:{name.upper()}'\n" for name in "ab"]
    (tmp_path / "prx.toml").write_text("".join(tables))
    daemon = start_daemon(environment={"A": SECRET, "B": SECRET})
    daemon.event("ready")
    del daemon.environment["B"]
    assert shown(daemon, "channel", "doctor", "a")["healthy"]
    assert fails(daemon, "channel", "doctor", "b") == (
        f"prx: {tmp_path / 'prx.toml'}:6: channels_config.b.secret: the environment variable B is not set\n"
    )
    assert daemon.stop() == 0
    told = fails(daemon, "channel", "list")
    assert told.startswith("prx: no daemon runs with this configuration, and here none would start:\n")
    assert told.endswith("the environment variable B is not set\n")


def fails(daemon: DaemonProcess, *words: str) -> str:
    """Run a command that is refused; return why."""
    done = subprocess.run(
        [sys.executable, "-m", "prx", *words],
        cwd=daemon.home, env=daemon.environment, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    return done.stderr


def test_a_program_posts_a_message_and_is_answered_by_a_tool_before_and_after_kill_9(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "plugins" / "echo.wasm").write_bytes(component("echo"))
    (tmp_path / "prx.toml").write_text(
        f"[channels_config.shop]\ntype = 'webhook'\nsecret = '{SECRET}'\nallowed_users = ['ada']\n"
    )
    for life in (1, 2):
        with start_daemon() as daemon:
            api = daemon.event("ready")["url"]
            url = api.removesuffix("/api/v1") + "/channels/shop"
            wait_until(lambda: shown(daemon, "status")["plugins"]["loaded"] == 1)  # called at once
            wait_until(lambda: shown(daemon, "channel", "list")["channels"][0]["status"] == "connected")
            answered = {"id": f"m{life}", "accepted": True, "text": "hello"}
            assert pushed(url, f"m{life}", '/echo {"text": "hello"}') == (200, answered)
            assert pushed(url, f"m{life}", '/echo {"text": "hello"}') == (200, answered)
            status, refused = pushed(url, "m", "hello", "whsec_bm90aGluZw==")
            assert (status, refused["error"]["code"]) == (401, "unauthorized")
            health = shown(daemon, "channel", "info", "shop")["health"]
            assert health["healthy"]
            assert health["last_message_at"]
            (session,) = call(f"{api}/sessions?channel=shop", daemon.token())[1]["sessions"]
            assert (session["user_id"], session["channel"]) == ("ada", "shop")
            daemon.process.kill()
    # What was answered in a life before is not answered again.
    daemon = start_daemon()
    url = daemon.event("ready")["url"].removesuffix("/api/v1") + "/channels/shop"
    wait_until(lambda: shown(daemon, "channel", "list")["channels"][0]["status"] == "connected")
    repeated = {"id": "m1", "accepted": True, "repeated": True}
    assert pushed(url, "m1", '/echo {"text": "hello"}') == (202, repeated)


def test_a_channel_whose_library_is_not_installed_says_what_to_install(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    libraries = {"email": "aiosmtplib", "matrix": "nio", "mqtt": "aiomqtt", "xmpp": "slixmpp"}
    assert libraries.keys() == {kind for kind, platform in PLATFORMS.items() if platform.extra is not None}
    without = tmp_path / "without"
    without.mkdir()
    # Runs before anything else of the daemon, and makes each import of them fail as if there were none.
    (without / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({[*libraries.values()]}))\n"
    )
    (tmp_path / "prx.toml").write_text(_NEEDING_LIBRARIES)
    path = os.pathsep.join([str(without), *filter(None, [os.environ.get("PYTHONPATH")])])
    daemon = start_daemon(environment={"PYTHONPATH": path})
    daemon.event("ready")
    wait_until(
        lambda: all(row["status"] == "disconnected" for row in shown(daemon, "channel", "list")["channels"])
    )
    assert {row["name"]: row["error"] for row in shown(daemon, "channel", "list")["channels"]} == {
        kind: f'channels of the type "{kind}" need {library}, which is not installed: '
        f"pip install 'prx[{kind}]', then restart the daemon"
        for kind, library in libraries.items()
    }


_NEEDING_LIBRARIES = """
[channels_config.email]
address = "bot@example.org"
password = "hunter2"
imap_host = "127.0.0.1"
smtp_host = "127.0.0.1"
[channels_config.matrix]
homeserver = "http://127.0.0.1:1"
user = "@bot:example.org"
password = "hunter2"
[channels_config.mqtt]
host = "127.0.0.1"
[channels_config.xmpp]
jid = "bot@example.org"
password = "hunter2"
"""
