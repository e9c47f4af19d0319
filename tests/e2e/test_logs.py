"""The log of a real daemon: over restarts and rotations, on a disk that is full, and on the command line."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from prx.cli.sse import ServerSentEvent, read_events
from prx.runtime.logs.files import log_files
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import WAIT_SECS, DaemonProcess, call
from tests.e2e.disks import fill, small_disk
from tests.support.waiting import wait_until

SMALL = {
    "PRX__DAEMON__LOG_FILE_MB": "1",
    "PRX__DAEMON__LOG_FILES": "2",
    "PRX__DAEMON__LOG_LEVEL": "debug",
    "PRX__GATEWAY__RATE_LIMITS__OTHER": "0",
}


class Logging:
    """A daemon that logs a line of its own choice for each request to a path that is not there."""

    def __init__(self, daemon: DaemonProcess, token: str | None = None) -> None:
        self.daemon = daemon
        self.url = daemon.event("ready")["url"]
        self.token = token or daemon.token()

    def log(self, first: int, count: int, *, size: int = 0) -> None:
        for number in range(first, first + count):
            call(f"{self.url}/no/{number}/{'x' * size}", self.token)

    def entries(self, query: str) -> dict[str, Any]:
        return call(f"{self.url}/logs?level=debug&{query}", self.token)[1]

    def is_on_disk(self, number: int) -> bool:
        files = log_files(self.daemon.data_dir / "logs")
        return bool(files) and f"/no/{number}/".encode() in files[-1].read_bytes()

    @contextmanager
    def stream(self, query: str, last_id: str | None = None) -> Iterator[Iterator[ServerSentEvent]]:
        url = urlsplit(self.url)
        connection = HTTPConnection(url.hostname or "", url.port, timeout=WAIT_SECS)
        headers = {"Authorization": f"Bearer {self.token}"} | (
            {} if last_id is None else {"Last-Event-ID": last_id}
        )
        connection.request("GET", f"{url.path}/logs/stream?level=debug&{query}", headers=headers)
        try:
            yield read_events(connection.getresponse())
        finally:
            connection.close()


def number_of(entry: dict[str, Any]) -> int:
    """Return which of the requests of `Logging.log` an entry is about."""
    return int(entry["reason"].split("/no/")[1].split("/")[0])


def numbers(entries: list[dict[str, Any]]) -> list[int]:
    return [number_of(entry) for entry in entries if "/no/" in entry.get("reason", "")]


def prx(daemon: DaemonProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prx", "logs", *arguments]
    return subprocess.run(
        command, cwd=daemon.home, env=daemon.environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_lines_are_found_and_followed_over_a_restart_and_rotations(
    start_daemon: StartDaemon, end: signal.Signals
) -> None:
    first = Logging(start_daemon(environment=SMALL))
    first.log(0, 10)
    with first.stream("module=api::edge&since=1h&limit=500") as events:
        seen = [next(events) for _ in range(5)]
    assert numbers([event.data for event in seen]) == [0, 1, 2, 3, 4]
    first.log(10, 10)
    wait_until(lambda: numbers(first.entries("limit=1&module=api::edge")["entries"]) == [19])
    wait_until(lambda: first.is_on_disk(19))
    first.daemon.stop(end)
    second = Logging(start_daemon(environment=SMALL), first.token)
    second.log(20, 10)
    with second.stream("module=api::edge", seen[-1].id) as events:
        assert numbers([next(events).data for _ in range(25)]) == list(range(5, 30))
    answer = second.entries("module=api::edge&limit=500")
    assert numbers(answer["entries"]) == list(range(30))
    assert answer["total"] == 30
    # 3 MB of lines: the oldest go, the newest stay, and each stays where it is counted.
    second.log(30, 500, size=6000)
    wait_until(lambda: second.is_on_disk(529))
    files = log_files(second.daemon.data_dir / "logs")
    assert len(files) == 2
    assert all(path.stat().st_size <= 1 << 20 for path in files)
    answer = second.entries("module=api::edge&limit=500")
    kept = numbers(answer["entries"])
    assert kept == list(range(kept[0], 530))
    assert answer["total"] == len(kept)
    assert kept[0] > 30


def test_a_full_disk_costs_lines_and_is_on_the_status_until_there_is_room(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with small_disk(data, "4m") as disk:
        daemon = start_daemon(environment=SMALL, launcher=disk.launcher(tmp_path))
        url = daemon.event("ready")["url"]
        token = subprocess.run(
            [*disk.launcher(tmp_path), sys.executable, "-m", "prx", "auth", "token"],
            env=daemon.environment, capture_output=True, check=True, text=True,
        ).stdout.strip()  # fmt: skip

        def problems() -> dict[str, str]:
            call(f"{url}/absent", token)
            found = call(f"{url}/status", token)[1]["problems"]
            return {problem["unit"]: problem["reason"] for problem in found}

        assert problems() == {}
        filler = fill(disk.inside(data))
        wait_until(lambda: "log.files" in problems())
        assert "No space left on device" in problems()["log.files"]
        # From memory, though not on disk.
        answer = call(f"{url}/logs?level=debug&limit=1", token)
        assert (answer[0], answer[1]["entries"][0]["code"]) == (200, "not_found")
        filler.unlink()
        wait_until(lambda: "log.files" not in problems())
        lost = call(f"{url}/logs?module=log", token)[1]["entries"][-1]
        assert lost["message"] == "log lines are missing on disk"
        assert lost["lost"] > 0


def test_the_command_line_shows_the_log_whether_a_daemon_runs_or_not(start_daemon: StartDaemon) -> None:
    logging = Logging(start_daemon())
    daemon = logging.daemon
    shown = prx(daemon, "--module", "daemon")
    assert shown.returncode == 0, shown.stderr
    assert "info  daemon               ready url=http://127.0.0.1:" in shown.stdout
    assert daemon.stop() == 0
    lines = prx(daemon, "--json", "--limit", "2").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["stopping", "stopped"]
    assert prx(daemon, "--level", "error").stdout == ""
    assert "stopped" in prx(daemon, "--since", "2020-01-01").stdout
    refused = prx(daemon, "--since", "yesterday")
    assert (refused.returncode, "ISO 8601" in refused.stderr) == (2, True)
    following = prx(daemon, "-f")
    assert (following.returncode, "stopped" in following.stdout) == (5, True)
    assert "no daemon runs" in following.stderr


def test_the_command_line_follows_the_log(start_daemon: StartDaemon) -> None:
    logging = Logging(start_daemon(environment=SMALL))
    daemon = logging.daemon
    logging.log(0, 3)
    command = [
        sys.executable,
        "-m",
        "prx",
        "logs",
        "-f",
        "--json",
        "--level",
        "debug",
        "--module",
        "api",
        "--limit",
        "2",
    ]
    with subprocess.Popen(
        command, cwd=daemon.home, env=daemon.environment, stdout=subprocess.PIPE, text=True
    ) as shown:
        assert shown.stdout is not None
        watchdog = threading.Timer(WAIT_SECS, shown.kill)
        watchdog.start()
        assert numbers([json.loads(shown.stdout.readline()) for _ in range(2)]) == [1, 2]
        logging.log(3, 2)
        assert numbers([json.loads(shown.stdout.readline()) for _ in range(2)]) == [3, 4]
        shown.send_signal(signal.SIGINT)
        assert shown.wait(WAIT_SECS) == 130
        watchdog.cancel()
