"""Talking to a real daemon, whose model is the built-in one: from a shell, and over a kill."""

import json
import signal
import threading
import uuid
from typing import Any

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.e2e.test_sessions_last import Client
from tests.support.waiting import wait_until


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
    assert answer["content"] == 'There is no tool "nothing". /help lists what there is.'
    assert client.get(f"/sessions/{session}")["turn_count"] == 3
    client.daemon.prx("config", "set", "provider.name", "nobody")
    code, said, told = client.types("session", "send", session, "hello")
    assert (code, said) == (1, "")
    assert told.startswith('prx: no answer (needs_configuration): there is no provider "nobody"')
    code, _, told = client.types("session", "send", "sess_none", "hello")
    assert (code, told) == (1, "prx: Session sess_none not found\n")


def test_no_acknowledged_message_is_lost_or_doubled_by_kills(start_daemon: StartDaemon) -> None:
    """Three clients talk, each in a session of its own, while the daemon is killed again and again."""
    daemon = start_daemon()
    token = daemon.token()
    client = Client(daemon, token)
    sessions = [client.begin() for _ in range(3)]
    acknowledged: dict[str, list[tuple[str, str]]] = {session: [] for session in sessions}
    for _ in range(4):
        url = daemon.event("ready")["url"] if daemon is not client.daemon else client.url
        talkers = [
            threading.Thread(target=talk, args=(url, token, session, acknowledged[session]))
            for session in sessions
        ]
        before = sum(map(len, acknowledged.values()))
        for talker in talkers:
            talker.start()
        wait_until(lambda before=before: sum(map(len, acknowledged.values())) > before + 3)  # type: ignore[misc]
        daemon.stop(signal.SIGKILL)
        for talker in talkers:
            talker.join()
        daemon = start_daemon()
    client = Client(daemon, token)
    for session in sessions:
        messages = whole_transcript(client, session)
        assert len(acknowledged[session]) > 3
        said = [message["content"] for message in messages if message["role"] == "user"]
        assert len(said) == len(set(said))
        answers = {
            message["content"]: answer["id"]
            for message in messages
            for answer in messages
            if answer.get("reply_to") == message["id"] and answer["error"] is None
        }
        assert [answers[content] for content, _ in acknowledged[session]] == [
            answer for _, answer in acknowledged[session]
        ]
        answered = [
            answer["reply_to"] for answer in messages if answer["role"] == "assistant" and not answer["error"]
        ]
        assert len(answered) == len(set(answered))


def talk(url: str, token: str, session: str, acknowledged: list[tuple[str, str]]) -> None:
    """Send messages, each for as long as it is not answered, until the daemon is gone."""
    while True:
        content = f"message {uuid.uuid4()}"
        try:
            status, answer = say(url, token, session, content)
        except OSError:
            return
        if status == 200 and answer["error"] is None:
            acknowledged.append((content, answer["id"]))


def say(url: str, token: str, session: str, content: str) -> tuple[int, dict[str, Any]]:
    return call(f"{url}/sessions/{session}/messages", token, {"content": content})


def whole_transcript(client: Client, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = client.get(f"/sessions/{session}/messages?limit=500&offset={len(found)}")
        found += page["messages"]
        if len(found) >= page["total"]:
            return found
