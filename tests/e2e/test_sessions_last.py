"""Sessions of a real daemon: kept whatever happens to it, ended when their time is over, and managed from a shell."""

import json
import signal
import subprocess
import sys
from typing import Any

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.waiting import wait_until


class Client:
    """Somebody with a token, and with a shell on the daemon's machine."""

    def __init__(self, daemon: DaemonProcess, token: str | None = None) -> None:
        self.url = daemon.event("ready")["url"]
        self.daemon = daemon
        self.token = token or daemon.token()

    def get(self, path: str) -> dict[str, Any]:
        return call(f"{self.url}{path}", self.token)[1]

    def begin(self, channel: str = "api") -> str:
        body = {"channel": channel, "user_id": "user_123", "metadata": {"source": "web-app"}}
        status, answer = call(f"{self.url}/sessions", self.token, body)
        assert status == 201
        return str(answer["id"])

    def ids(self, status: str) -> list[str]:
        return [session["id"] for session in self.get(f"/sessions?status={status}")["sessions"]]

    def types(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return its exit code and what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "prx", *words],
            cwd=self.daemon.home, env=self.daemon.environment, capture_output=True, check=False, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr


def test_what_was_acknowledged_is_there_after_kill_9(start_daemon: StartDaemon) -> None:
    client = Client(start_daemon())
    ended = client.begin()
    assert client.types("session", "end", ended)[0] == 0
    # The last word before the end is the 201.
    begun = client.begin()
    assert client.daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    client = Client(start_daemon(), client.token)
    assert client.ids("active") == [begun]
    assert client.ids("terminated") == [ended]
    assert client.get(f"/sessions/{begun}")["metadata"] == {"source": "web-app"}
    assert client.get("/status")["active_sessions"] == 1


def test_a_changed_timeout_ends_sessions_that_are_there(start_daemon: StartDaemon) -> None:
    client = Client(start_daemon())
    begun = client.begin()
    client.daemon.prx("config", "set", "agent.session_timeout_secs", "1")
    wait_until(lambda: client.get(f"/sessions/{begun}")["status"] == "terminated")
    assert client.get("/status")["active_sessions"] == 0
    client.daemon.prx("config", "set", "agent.session_timeout_secs", "3600")
    assert client.ids("terminated") == [begun]


def test_sessions_are_listed_looked_at_and_ended_from_a_shell(start_daemon: StartDaemon) -> None:
    client = Client(start_daemon())
    assert client.types("session", "list") == (0, "No active sessions.\n", "")
    first, second = client.begin(), client.begin("telegram")
    code, shown, _ = client.types("session", "list")
    heading, *rows = [line.split() for line in shown.splitlines()]
    assert (code, heading[:4]) == (0, ["ID", "CHANNEL", "USER", "STATUS"])
    assert [row[:4] for row in rows] == [
        [second, "telegram", "user_123", "active"], [first, "api", "user_123", "active"],
    ]  # fmt: skip
    code, shown, _ = client.types("session", "list", "--limit", "1")
    assert (code, shown.splitlines()[-1]) == (0, "1 more: --offset 1")
    code, shown, _ = client.types("session", "list", "--channel", "api", "--json")
    assert (code, [session["id"] for session in json.loads(shown)["sessions"]]) == (0, [first])

    code, shown, _ = client.types("session", "info", first)
    assert code == 0
    assert 'Metadata:       {"source": "web-app"}' in shown
    code, shown, _ = client.types("session", "info", first, "--json")
    assert json.loads(shown) == client.get(f"/sessions/{first}")

    assert client.types("session", "end", first) == (0, f"{first} is terminated.\n", "")
    code, _, refused = client.types("session", "end", first)
    assert (code, refused) == (1, f"prx: Session {first} is terminated already\n")
    code, shown, _ = client.types("session", "end", second, "--json")
    assert (code, json.loads(shown)) == (0, {"id": second, "status": "terminated"})
    code, _, refused = client.types("session", "info", "sess_xyz")
    assert (code, refused) == (1, "prx: Session sess_xyz not found\n")
