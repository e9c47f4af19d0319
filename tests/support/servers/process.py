"""A server as a process group that is started, stopped, killed and started again, and is gone when its block ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from prx.mcp.client import launcher
from tests.support.waiting import wait_until

_SYSTEM_PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian keeps servers where the PATH of an ordinary user does not lead."""


def program(name: str, package: str) -> str:
    """Return the path of a server's program; without it the test is skipped."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATHS}")
    if found is None:
        pytest.skip(f"{name} not found, so nothing is tested against it: apt install {package}")
    return found


@contextmanager
def server_directory() -> Iterator[Path]:
    """Make a directory that servers which give up root can still enter: pytest's own lets nobody else in."""
    with tempfile.TemporaryDirectory(prefix="prx-server-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


class ServerProcess:
    """Runs for the length of a `with` block, unless a test ends it before."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        ports: Sequence[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start nothing yet. It runs once it takes connections on all of `ports`."""
        self.port = ports[0]
        self.tls_port = ports[-1]
        """The last one: that with TLS, where there are two."""
        self._command = command
        self._directory = directory
        self._ports = ports
        self._environment = {"PATH": _SYSTEM_PATHS, "HOME": str(directory), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        """What it wrote so far, over all its lives."""
        return (self._directory / "output.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        held, self._leash = os.pipe()
        with (self._directory / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", launcher.__file__, str(held), *self._command],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(held,),
            )
        os.close(held)
        wait_until(self._is_up)

    def pause(self) -> None:
        """Have it do nothing more, its connections open: whoever waits for it hears nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it and all that it started at once, however it is."""
        if self._process is None or self._leash is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._leash)
        self._process = self._leash = None
        wait_until(lambda: not any(map(_takes_connections, self._ports)))

    def restart(self) -> None:
        """Kill it, and start it on the same ports with what it kept."""
        self.kill()
        self.start()

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._command[0]} ended:\n{self.log}"
        return all(map(_takes_connections, self._ports))

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True
