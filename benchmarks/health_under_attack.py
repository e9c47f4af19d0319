"""How promptly `/status/health` answers while every hostile component of the test corpus is called.

    python -m benchmarks.health_under_attack [--rounds 5] [--window 15] [--clients 8]

Quiet and attacked windows take turns on one daemon. A bare aiohttp server beside it is probed in the same moments: it
tells what the machine, short of processors meanwhile, does to any answer.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.processes import Program
from benchmarks.programs import PrxHome, bare_aiohttp
from benchmarks.report import ROOT, Report
from tests.components.corpus import component, names

_EVERY_SECS = 0.005
_CALL_LIMIT_MS = 1000
Samples = dict[str, list[float]]
Outcomes = dict[str, dict[str, int]]


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=5, window_secs=15.0, clients=8)
    report = Report("health_under_attack", "Health under attack", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        prx = PrxHome(Path(scratch) / "prx", {"plugins.limits.max_execution_time_ms": _CALL_LIMIT_MS})
        prx.add_components({name: component(name) for name in names("hostile")})
        bare = bare_aiohttp(Path(scratch) / "bare")
        with prx.program.start() as server, bare.start() as floor:
            server.secs_to_healthy()
            floor.secs_to_healthy()
            prx.wait_until_compiled(server)
            quiet, attacked, outcomes = _rounds(prx, bare, options.rounds, options.window, options.clients)
    report.say(
        f"{options.clients} clients, {options.rounds} rounds of {options.window:g} s quiet and as long attacked, "
        f"a probe every {_EVERY_SECS * 1000:g} ms, calls limited to {_CALL_LIMIT_MS} ms.\n"
    )
    rows = [
        ("PRX, quiet", quiet["prx"]),
        ("PRX, attacked", attacked["prx"]),
        ("bare aiohttp, quiet", quiet["bare"]),
        ("bare aiohttp beside the attack", attacked["bare"]),
    ]
    report.table(
        ("", "probes", "p50, ms", "p99, ms", "most, ms"),
        [(name, str(len(series)), *(f"{value:.2f}" for value in _told(series))) for name, series in rows],
    )
    for index, figure in enumerate(("p50", "p99", "most")):
        idle, busy, machine = (_told(s)[index] for s in (quiet["prx"], attacked["prx"], attacked["bare"]))
        report.say(
            f"- {figure} attacked: {busy / idle:.1f} times quiet, {busy / machine:.1f} times bare aiohttp beside it"
        )
    report.say("\n## What the attackers got\n")
    report.table(
        ("call", "how it ended"),
        [
            (call, ", ".join(f"{code} {count}" for code, count in codes.items()))
            for call, codes in sorted(outcomes.items())
        ],
    )
    report.keep()


def _rounds(
    prx: PrxHome, bare: Program, rounds: int, window_secs: float, clients: int
) -> tuple[Samples, Samples, Outcomes]:
    """Watch quiet and attacked windows in turn; return the latencies of both in ms, and how the attacks ended."""
    quiet: Samples = {"prx": [], "bare": []}
    attacked: Samples = {"prx": [], "bare": []}
    outcomes: Outcomes = {}
    token = prx.token()
    for _ in range(rounds):
        _probe(prx.program, bare, window_secs, quiet)
        with _attacking(prx.program.port, token, clients, outcomes):
            _probe(prx.program, bare, window_secs, attacked)
    return quiet, attacked, outcomes


def _probe(prx: Program, bare: Program, window_secs: float, into: Samples) -> None:
    """Ask both servers in turn, at a steady pace, each over one connection that stays open."""
    connections = {
        name: http.client.HTTPConnection("127.0.0.1", program.port, timeout=60)
        for name, program in (("prx", prx), ("bare", bare))
    }
    paths = {"prx": prx.health, "bare": bare.health}
    due = time.perf_counter()
    ends = due + window_secs
    for name in cycle(connections):
        due += _EVERY_SECS
        if due > ends:
            break
        time.sleep(max(0.0, due - time.perf_counter()))
        asked = time.perf_counter()
        connections[name].request("GET", paths[name])
        answer = connections[name].getresponse()
        answer.read()
        into[name].append((time.perf_counter() - asked) * 1000)
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{name} answered {answer.status} to a probe")
    for connection in connections.values():
        connection.close()


@contextmanager
def _attacking(port: int, token: str, clients: int, outcomes: Outcomes) -> Iterator[None]:
    """Attack for the length of the block, and add up how the calls ended."""
    url = f"http://127.0.0.1:{port}/api/v1/"
    command = [sys.executable, "-m", "benchmarks.attackers", url, token, str(clients)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as attackers:
        assert attackers.stdout is not None
        attackers.stdout.readline()  # they have begun
        try:
            yield
        finally:
            told, _ = attackers.communicate(timeout=120)
    for call, codes in json.loads(told).items():
        counts = outcomes.setdefault(call, {})
        for code, count in codes.items():
            counts[code] = counts.get(code, 0) + count


def _told(latencies: list[float]) -> tuple[float, float, float]:
    hundredths = quantiles(latencies, n=100)
    return hundredths[49], hundredths[98], max(latencies)


if __name__ == "__main__":
    main()
