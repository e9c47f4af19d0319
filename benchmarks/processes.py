"""Servers as processes: started, asked whether they are healthy, weighed with all their children, and stopped."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_START_SECS = 60.0
_STOP_SECS = 20.0
_ASK_SECS = 5.0
_PAUSE_SECS = 0.002
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process tree holds, in MiB."""

    pss: float
    """Resident, each shared page counted in part, by how many processes share it."""
    private: float
    """Resident and in no other process."""


@dataclass(frozen=True, slots=True)
class Program:
    """How a server is started, and where it says that it is ready."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    home: Path
    port: int
    health: str

    def start(self) -> "Server":
        """Start it; the caller stops it."""
        return Server(self)


class Server:
    """One running server, as a block: whatever happens, nothing of it is left."""

    def __init__(self, program: Program) -> None:
        """Start the process and the clock."""
        self.program = program
        self._log = program.home / "server.log"
        with self._log.open("wb") as log:
            self._began = time.perf_counter()
            self._process = subprocess.Popen(
                program.command,
                cwd=program.home,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        members = self.tree()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in members[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    def secs_to_healthy(self) -> float:
        """Return how long after its start the first healthy answer came.

        Raises:
            RuntimeError: it ended, or gave none in a minute.
        """
        while time.perf_counter() - self._began < _START_SECS:
            if self._process.poll() is not None:
                break
            if self._healthy():
                return time.perf_counter() - self._began
            time.sleep(_PAUSE_SECS)
        raise RuntimeError(f"{self.program.command[0]} did not become healthy:\n{self.log[-2000:]}")

    def tree(self) -> list[int]:
        """Return the process's id, then those of all its descendants."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (stat := _stat(int(entry.name))):
                children.setdefault(int(stat[1]), []).append(int(entry.name))
        members = [self._process.pid]
        for pid in members:
            members.extend(children.get(pid, []))
        return members

    def memory(self) -> Memory:
        """Weigh the whole tree."""
        fields: dict[str, int] = {}
        for pid in self.tree():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
                key, value, *_ = line.split()
                fields[key] = fields.get(key, 0) + int(value)
        private = fields["Private_Clean:"] + fields["Private_Dirty:"]
        return Memory(fields["Pss:"] / 1024, private / 1024)

    def cpu_secs(self) -> float:
        """Return the processor time that the tree has used, its ended children included."""
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in self.tree()) / _TICKS_PER_SEC

    def own_cpu_secs(self) -> float:
        """Return the processor time that the process itself has used, without any child."""
        return sum(map(int, _stat(self._process.pid)[11:13])) / _TICKS_PER_SEC

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.program.port, timeout=_ASK_SECS)
        try:
            connection.request("GET", self.program.health)
            answer = connection.getresponse()
            text = answer.read()
            # Where a server says no more than that it is there, that is enough.
            is_json = answer.getheader("Content-Type", "").startswith("application/json")
            body = json.loads(text) if is_json else {}
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        # nanobot answers 200 before its channels run, and says so.
        return answer.status == http.HTTPStatus.OK and body.get("ready", True)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that nobody listens on."""
    with ExitStack() as probing:
        probes = [probing.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _stat(pid: int) -> list[str]:
    """Return the fields of `/proc/<pid>/stat` after the name: state, parent and so on; nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
