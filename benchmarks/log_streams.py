"""What two hundred readers of the log's stream cost the daemon, half of them stalled.

    python -m benchmarks.log_streams [--rounds 3] [--window 10] [--clients 200]

Windows without and with readers take turns on one daemon, while requests make it log at a steady pace. Measured are the
answers to `/status/health` meanwhile, the daemon's processor time, and its memory.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.processes import Server
from benchmarks.programs import PrxHome
from benchmarks.report import ROOT, Report

_EVERY_SECS = 0.005
"""One request that logs a line for each that asks for the health."""


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=3, window_secs=10.0, clients=200)
    report = Report("log_streams", "Readers of the log", str(__doc__).partition("\n")[0])
    figures: dict[str, list[list[float]]] = {"none": [], "readers": []}
    latencies: dict[str, list[float]] = {"none": [], "readers": []}
    told = ""
    with TemporaryDirectory() as scratch:
        prx = PrxHome(Path(scratch) / "prx", {"daemon.log_level": "debug"})
        with prx.program.start() as server:
            server.secs_to_healthy()
            token = prx.token()
            for _ in range(options.rounds):
                figures["none"].append(_watch(server, token, options.window, latencies["none"]))
                with _readers(prx.program.port, token, options.clients) as readers:
                    figures["readers"].append(_watch(server, token, options.window, latencies["readers"]))
                    told, _ = readers.communicate("", timeout=60)
    report.say(
        f"{options.rounds} windows of {options.window:g} s without and as many with {options.clients} readers, "
        f"of which half take nothing; about {1 / _EVERY_SECS / 2:.0f} lines in a second. {told.strip()}\n"
    )
    rows = []
    for name, kind in (("no readers", "none"), (f"{options.clients} readers", "readers")):
        hundredths = quantiles(latencies[kind], n=100)
        cpu, memory = (median(each[index] for each in figures[kind]) for index in (0, 1))
        rows.append((name, f"{hundredths[49]:.2f}", f"{hundredths[98]:.2f}", f"{cpu:.1f}", f"{memory:.1f}"))
    report.table(("", "health p50, ms", "health p99, ms", "processor, %", "memory, MiB"), rows)
    report.keep()


def _watch(server: Server, token: str, window_secs: float, into: list[float]) -> list[float]:
    """Ask at a steady pace; return the daemon's processor time in percent and its memory in MiB."""
    connection = http.client.HTTPConnection("127.0.0.1", server.program.port, timeout=60)
    cpu = server.cpu_secs()
    began = due = time.perf_counter()
    asked_health = True
    while due < began + window_secs:
        time.sleep(max(0.0, due - time.perf_counter()))
        asked = time.perf_counter()
        path = "/api/v1/status/health" if asked_health else "/api/v1/absent"
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        connection.getresponse().read()
        if asked_health:
            into.append((time.perf_counter() - asked) * 1000)
        asked_health = not asked_health
        due += _EVERY_SECS
    connection.close()
    percent = (server.cpu_secs() - cpu) / (time.perf_counter() - began) * 100
    return [percent, server.memory().pss]


@contextmanager
def _readers(port: int, token: str, count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.log_readers", str(port), token, str(count)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as readers:
        assert readers.stdout is not None
        readers.stdout.readline()  # all are connected
        try:
            yield readers
        finally:
            readers.kill()


if __name__ == "__main__":
    main()
