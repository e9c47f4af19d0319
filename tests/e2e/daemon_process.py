"""`prx daemon` as a process: started, listened to, talked to over its port, and ended."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.conformance import DOCUMENTED

WAIT_SECS = 60.0


class DaemonProcess:
    """One daemon in a directory of its own, with its log read line by line."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        """Start it; `launcher` is a command that becomes the one that follows it, such as `nsenter`."""
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            # Another checkout's tests run on its own code.
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "PRX__GATEWAY__PORT": "0",
            "PYTHONWARNINGS": "error",
            **(environment or {}),
        }
        self.log: list[dict[str, Any]] = []
        self.text: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [*launcher, sys.executable, "-m", "prx", "daemon", *arguments],
            cwd=home,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    @property
    def data_dir(self) -> Path:
        return self.home / "data" / "prx"

    def event(self, message: str) -> dict[str, Any]:
        """Return the next event of the log with this message."""
        while (line := self._lines.get(timeout=WAIT_SECS)) is not None:
            self.text.append(line)
            if line.startswith("{"):
                event: dict[str, Any] = json.loads(line)
                self.log.append(event)
                if event["message"] == message:
                    return event
        raise AssertionError(f"the daemon ended without {message!r}:\n{''.join(self.text)}")

    def ended(self) -> int:
        """Return the exit code once the process has ended, its whole stderr in `text`."""
        code = self.process.wait(WAIT_SECS)
        while (line := self._lines.get(timeout=WAIT_SECS)) is not None:
            self.text.append(line)
        self._lines.put(None)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.ended()

    def token(self) -> str:
        """Make a token as an operator does."""
        return self.prx("auth", "token")

    def prx(self, *arguments: str) -> str:
        """Run another command in the daemon's surroundings and return what it prints."""
        command = [sys.executable, "-m", "prx", *arguments]
        made = subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, check=True, text=True
        )
        return made.stdout.strip()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)


def call(
    url: str,
    token: str | None = None,
    body: dict[str, Any] | None = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of a GET, or of a POST where there is a body; the answer has to be a documented one."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))  # noqa: S310
    request.add_header("Content-Type", "application/json")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECS) as answer:  # noqa: S310
            status, sent, content = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, sent, content = error.code, error.headers, error.read()
    DOCUMENTED.check(request.get_method(), urlsplit(url).path, status, sent, content)
    return status, json.loads(content)
