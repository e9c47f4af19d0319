"""Talking to a real daemon, whose model is the built-in one: from a shell, and over a kill."""

import json
from typing import Any

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.conversations import converse_through_kills
from tests.e2e.daemon_process import DaemonProcess, call
from tests.e2e.test_sessions_last import Client
from tests.support.waiting import wait_until

LAX = {"PRX__GATEWAY__RATE_LIMITS__SESSIONS_WRITE": "0", "PRX__AGENT__MAX_TURNS": "10000"}


def with_echo(daemon: DaemonProcess) -> Client:
    """Return a client of a daemon that has the tool `echo`."""
    client = Client(daemon)
    plugins = daemon.data_dir / "plugins"
    if not (plugins / "echo.wasm").exists():
        (plugins / ".new").write_bytes(component("echo"))
        (plugins / ".new").rename(plugins / "echo.wasm")
    wait_until(lambda: client.get("/status")["plugins"]["loaded"] == 1)
    return client


def test_a_tool_is_called_from_a_shell_without_a_model(start_daemon: StartDaemon) -> None:
    client = with_echo(start_daemon())
    tool = client.get("/tools")["tools"][0]["name"]
    session = client.begin()
    code, said, told = client.types("session", "send", session, f"/{tool} " + '{"text": "hello"}')
    assert (code, said) == (0, "hello\n"), told
    assert told == f'prx: {tool} {{"text": "hello"}}\n'
    code, said, _ = client.types("session", "send", session, "what can you do?")
    assert code == 0
    assert f"/{tool}" in said
    assert "prx config set provider.name anthropic" in said
    code, said, _ = client.types("session", "send", session, "/nothing", "--json")
    answer = json.loads(said)
    assert (code, answer["provider"]) == (0, "builtin")
    assert answer["content"] == 'There is no tool "nothing". Write "help" to see what there is.'
    assert client.get(f"/sessions/{session}")["turn_count"] == 3
    client.daemon.prx("config", "set", "provider.name", "nobody")
    code, said, told = client.types("session", "send", session, "hello")
    assert (code, said) == (1, "")
    assert told.startswith('prx: no answer (needs_configuration): there is no provider "nobody"')
    code, _, told = client.types("session", "send", "sess_none", "hello")
    assert (code, told) == (1, "prx: Session sess_none not found\n")


def test_no_acknowledged_message_is_lost_or_doubled_by_kills(start_daemon: StartDaemon) -> None:
    converse_through_kills(lambda: start_daemon(environment=LAX), messages=60, kills=4)


def say(url: str, token: str, session: str, content: str) -> tuple[int, dict[str, Any]]:
    return call(f"{url}/sessions/{session}/messages", token, {"content": content})
