"""Conversations that go on while the daemon is killed, and what has to be left of them.

Each message has a tool called that keeps its arguments in the store, so that its effect is seen whatever became of the
turn: `remember`, the corpus's `prx-tool`.
"""

import json
import random
import shutil
import signal
import sqlite3
import threading
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.components.corpus import component
from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.waiting import wait_until

TALKERS = 3
_MANIFEST = '[plugin]\nname = "remember"\nversion = "1.0.0"\n[permissions]\nrequired = ["kv"]\n'
_WAIT_SECS = 300.0


@dataclass
class Talker:
    """One session, in which the next message is sent once the one before is answered."""

    session: str
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    """Each message with the id of its answer."""

    def talk(self, url: str, token: str, stop: threading.Event) -> None:
        """Send messages until told to stop or the daemon is gone; one without an answer is sent again, by its key."""
        while not stop.is_set():
            key = f"message-{len(self.acknowledged)}"
            content = "/remember " + _arguments(self.session, key)
            try:
                status, answer = _post(f"{url}/sessions/{self.session}/messages", token, content, key)
            except OSError:
                return
            if status == 200 and answer["error"] is None:
                self.acknowledged.append((content, answer["id"]))


def converse_through_kills(start_again: Callable[[], DaemonProcess], *, messages: int, kills: int) -> None:
    """Talk in several sessions while the daemon is killed at random moments; compare what was kept and told."""
    chance = random.Random(kills)  # noqa: S311  # not for secrets
    daemon = start_again()
    _install(daemon)
    url, token = str(daemon.event("ready")["url"]), daemon.token()
    _wait_for_tool(url, token)
    talkers = [Talker(_begin(url, token)) for _ in range(TALKERS)]

    def told() -> int:
        return sum(len(talker.acknowledged) for talker in talkers)

    for number in range(kills + 1):
        stop = threading.Event()
        threads = [threading.Thread(target=talker.talk, args=(url, token, stop)) for talker in talkers]
        for thread in threads:
            thread.start()
        goal = messages * (number + 1) // (kills + 1)
        wait_until(lambda goal=goal: told() >= goal, within_secs=_WAIT_SECS)  # type: ignore[misc]
        if number < kills:
            time.sleep(chance.random() / 20)  # the moment is to be any, which nobody can wait for
            daemon.stop(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        if number < kills:
            effect = _last_effect(daemon)
            daemon = start_again()
            url = str(daemon.event("ready")["url"])
            # Before any message is sent again.
            last = [
                message for talker in talkers for message in _end_of_transcript(url, token, talker.session)
            ]
            called = [call["arguments"] for message in last for call in message.get("tool_calls", ())]
            assert effect in called, "nobody is told what a tool did"
            _wait_for_tool(url, token)
    for talker in talkers:
        _check(talker, _transcript(url, token, talker.session))
    assert told() >= messages


def _arguments(session: str, key: str) -> str:
    return json.dumps({"text": f"{session} {key}"})


def _install(daemon: DaemonProcess) -> None:
    directory = daemon.data_dir / "plugins" / "remember"
    directory.mkdir(parents=True)
    (directory / "plugin.wasm").write_bytes(component("prx-tool"))
    (directory / "plugin.toml").write_text(_MANIFEST)


def _wait_for_tool(url: str, token: str) -> None:
    wait_until(lambda: [tool["name"] for tool in call(f"{url}/tools", token)[1]["tools"]] == ["remember"])


def _last_effect(daemon: DaemonProcess) -> Any:
    """Return the arguments that the tool kept last, from a copy of the store, which the daemon has to recover."""
    copies = daemon.home / "copies"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    for file in daemon.data_dir.glob("prx.db*"):
        shutil.copy(file, copies)
    return _kept(copies / "prx.db")


def _kept(store: Path) -> Any:
    connection = sqlite3.connect(store)
    try:
        ((value,),) = connection.execute("SELECT value FROM plugin_kv WHERE plugin = 'remember'").fetchall()
    finally:
        connection.close()
    return json.loads(value)


def _check(talker: Talker, messages: list[dict[str, Any]]) -> None:
    said = {message["id"]: message["content"] for message in messages if message["role"] == "user"}
    assert len(set(said.values())) == len(said), "a message is there twice"
    answers: dict[str, list[str]] = {}
    for answer in messages:
        if answer["role"] == "assistant" and answer["error"] is None:
            answers.setdefault(said[answer["reply_to"]], []).append(answer["id"])
            [call] = answer["tool_calls"]
            assert call["success"], "an answer was told, and its tool did not run"
        elif answer["role"] == "assistant":
            assert answer["error"]["code"] == "interrupted"
    for content, answer_id in talker.acknowledged:
        assert answers[content] == [answer_id], "an acknowledged answer is lost, or there are two"
    assert [content for content in said.values() if content in dict(talker.acknowledged)] == [
        content for content, _ in talker.acknowledged
    ], "messages are out of order"


def _begin(url: str, token: str) -> str:
    status, answer = call(f"{url}/sessions", token, {"channel": "api", "user_id": "somebody"})
    assert status == 201
    return str(answer["id"])


def _post(url: str, token: str, content: str, key: str) -> tuple[int, dict[str, Any]]:
    try:
        return call(url, token, {"content": content}, headers={"Idempotency-Key": key})
    except urllib.error.URLError as error:
        raise ConnectionError from error


def _end_of_transcript(url: str, token: str, session: str) -> Any:
    messages = f"{url}/sessions/{session}/messages"
    _, first = call(f"{messages}?limit=1", token)
    _, page = call(f"{messages}?offset={max(0, first['total'] - 10)}", token)
    return page["messages"]


def _transcript(url: str, token: str, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        _, page = call(f"{url}/sessions/{session}/messages?limit=500&offset={len(found)}", token)
        found += page["messages"]
        if len(found) >= page["total"]:
            return found
