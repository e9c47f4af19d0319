"""`prx chat` with a real daemon: on a terminal, from a pipe, and with an answer that takes its time."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import WAIT_SECS, DaemonProcess
from tests.e2e.pushes import SECRET
from tests.e2e.test_sessions_last import Client
from tests.e2e.test_talking import with_echo


class Terminal:
    """A user at a terminal that a command runs on."""

    def __init__(self, main: int, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._main = main
        self.shown = ""
        self._behind = 0

    def types(self, text: str) -> None:
        os.write(self._main, text.encode())

    def interrupts_until(self, text: str) -> None:
        """Press Ctrl-C until `text` is shown: readline may be about to wait, and not notice the first one."""
        deadline = time.monotonic() + WAIT_SECS
        while self.shown.find(text, self._behind) < 0:
            assert time.monotonic() < deadline, self.shown
            self.process.send_signal(signal.SIGINT)
            while select.select([self._main], [], [], 1)[0]:
                self.shown += os.read(self._main, 4096).decode(errors="replace")
        self.until(text)

    def until(self, text: str) -> None:
        """Read until `text` is shown, behind what was waited for before."""
        while (found := self.shown.find(text, self._behind)) < 0:
            assert select.select([self._main], [], [], WAIT_SECS)[0], self.shown
            piece = os.read(self._main, 4096)
            self.shown += piece.decode(errors="replace")
        self._behind = found + len(text)


@contextmanager
def terminal(daemon: DaemonProcess, *words: str) -> Iterator[Terminal]:
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "prx", *words], stdin=other, stdout=other, stderr=other,
        env=daemon.environment | {"TERM": "dumb"}, cwd=daemon.home, start_new_session=True,
    )  # fmt: skip
    os.close(other)
    try:
        yield Terminal(main, process)
    finally:
        process.kill()
        process.wait()
        os.close(main)


def piped(client: Client, text: str, *words: str) -> tuple[int, str, str]:
    """Run `prx chat` with `text` as its standard input; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "prx", "chat", *words], input=text, cwd=client.daemon.home,
        env=client.daemon.environment, capture_output=True, check=False, text=True, errors="surrogateescape",
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_pipe_is_one_message_and_its_answer_alone_is_printed(start_daemon: StartDaemon) -> None:
    client = with_echo(start_daemon())
    tool = client.get("/tools")["tools"][0]["name"]
    call = f'/{tool} {{"text": "two\\nlines"}}'
    assert piped(client, call)[:2] == (0, "two\nlines\n")
    code, said, told = piped(client, "", *call.split(" ", 1), "--json")
    assert (code, json.loads(said)["content"], told) == (0, "two\nlines", "")
    (session, *_) = client.get("/sessions?channel=cli")["sessions"]
    assert piped(client, "/nothing", "--session", session["id"])[0] == 0
    assert piped(client, "/caf\udce9")[1].startswith(
        'There is no tool "caf\ufffd"'
    )  # bytes that are not UTF-8
    assert piped(client, "what nobody asked for", "")[0] == 1
    assert client.get(f"/sessions/{session['id']}")["turn_count"] == 2
    client.daemon.prx("config", "set", "provider.name", "nobody")
    assert piped(client, "hello")[0] == 1


def test_a_terminal_talks_on_allows_calls_and_stops_answers(start_daemon: StartDaemon) -> None:
    client = with_echo(start_daemon(environment={"PRX__AGENT__APPROVAL": '["*"]'}))
    tool = client.get("/tools")["tools"][0]["name"]
    call = f'/{tool} {{"text": "hello there"}}\n'
    with terminal(client.daemon, "chat") as user:
        user.until("> ")
        user.types(call)
        user.until("be called? [y/N]")
        user.types("y\n")
        user.until("hello there\r\n> ")
        user.types(call)
        user.until("be called? [y/N]")
        user.interrupts_until("prx: no answer (cancelled)")
        user.until("> ")
        user.types("/session\n")
        user.until("sess_")
        user.types("/new\n")
        user.until("This is a new conversation.")
        user.until("> ")
        user.types("/nothing\\\n")
        user.until("… ")
        user.types("else\n")
        user.until("There is no tool")
        user.until("> ")
        user.types("/quit\n")
        assert user.process.wait(60) == 0
    history = client.daemon.data_dir / "chat_history"
    assert call.rstrip() in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600
    first, second = client.get("/sessions?channel=cli")["sessions"]
    assert [client.get(f"/sessions/{each['id']}")["turn_count"] for each in (second, first)] == [2, 1]


def test_a_terminal_needs_no_secret_that_the_daemon_alone_has(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "prx.toml").write_text(
        "[channels_config.shop]\ntype = 'webhook'\nsecret = 'env:SHOP_SECRET'\n"
    )
    daemon = start_daemon(environment={"SHOP_SECRET": SECRET})
    daemon.event("ready")
    del daemon.environment["SHOP_SECRET"]
    with terminal(daemon, "chat") as user:
        user.until("Ctrl-D ends the chat")
        user.types("hello\n")
        user.until("No language model is configured")
        user.types("/quit\n")
        assert user.process.wait(WAIT_SECS) == 0
    assert (daemon.data_dir / "chat_history").read_text().startswith("hello\n")
