"""What delivering a thousand webhooks a second costs `GET /status`.

    python -m benchmarks.webhooks [--rounds 7] [--window 4]

Twenty hooks lead to twenty ports of one receiver. Sessions that begin fifty times a second are each told to all of
them. wrk asks for the status over 32 connections, in windows with and without deliveries that take turns on one
daemon. All of them share the machine's processors: on a small one the processor time of a delivery tells more.
"""

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.processes import Program, Server, free_ports
from benchmarks.programs import PrxHome, script
from benchmarks.report import Report
from benchmarks.rounds import Series
from benchmarks.wrk import Load, Request

_HIGH = 10_000_000
_HOOKS = 20
_EVENTS_PER_SEC = 50
_CALLERS = 10
_CONNECTIONS = 32
_BURST_EVENTS = 500


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=7, window_secs=4.0)
    report = Report("webhooks", "Webhooks in the background", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        limits = {"gateway.rate_limits.other": _HIGH, "gateway.rate_limits.sessions_write": _HIGH}
        port, *ports = free_ports(1 + _HOOKS)
        prx = PrxHome(root / "prx", {**limits, "gateway.port": port, "hooks.allow_private_targets": "true"})
        receivers = _receivers(root / "receivers", ports)
        with receivers.start() as taking, prx.program.start() as server:
            taking.secs_to_healthy()
            server.secs_to_healthy()
            source = _Source(prx, ports)
            source.register()
            status = Request(
                f"http://127.0.0.1:{prx.program.port}/api/v1/status",
                {"Authorization": f"Bearer {source.token}"},
            )
            each_us = _cost(server, source)
            quiet, busy, rates, asked = [], [], [], []
            for _ in range(options.rounds):
                quiet.append(_load(status, root, options.window).per_sec)
                with source.telling():
                    before, began = (source.taken(), source.begun), time.perf_counter()
                    busy.append(_load(status, root, options.window).per_sec)
                    taken, begun, secs = source.taken(), source.begun, time.perf_counter() - began
                rates.append((taken - before[0]) / secs)
                asked.append((begun - before[1]) * _HOOKS / secs)
    without, beside = Series(tuple(quiet)), Series(tuple(busy))
    report.compare({"no deliveries": without, "beside deliveries": beside}, "no deliveries", "answers/s", 0)
    report.say(
        f"Processor time of the daemon for one delivery, in a burst and all included: {each_us:.0f} us.\n"
    )
    report.say(
        f"Deliveries that the sessions of a second asked for meanwhile: {Series(tuple(asked)).median:.0f}; fewer than "
        f"{_HOOKS * _EVENTS_PER_SEC} mean that the sessions themselves could not begin in time.\n"
    )
    report.at_least(
        "deliveries per second meanwhile", Series(tuple(rates)).median, 0.95 * _HOOKS * _EVENTS_PER_SEC
    )
    report.at_least("answers beside deliveries", beside.over(without), 0.75)
    report.keep()


class _Source:
    """Makes sessions begin, and knows how many deliveries came of it."""

    def __init__(self, prx: PrxHome, ports: list[int]) -> None:
        self.token = prx.token()
        self._port = prx.program.port
        self._ports = ports
        self._counting = threading.Lock()
        self.begun = 0
        """How many sessions began."""

    def register(self) -> None:
        """Register every hook."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        for port in self._ports:
            url = f"http://127.0.0.1:{port}/hook"
            self._post(connection, "hooks", {"url": url, "events": ["session.created"]})
        connection.close()

    def begin(self, connection: http.client.HTTPConnection) -> None:
        """Begin one session, which is told to every hook."""
        self._post(connection, "sessions", {"channel": "api", "user_id": "benchmark"})
        with self._counting:
            self.begun += 1

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection to the daemon."""
        return http.client.HTTPConnection("127.0.0.1", self._port)

    def taken(self) -> int:
        """Return how many deliveries came."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[0]}/") as answer:
            return int(json.load(answer)["taken"])

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Begin sessions at a steady pace for the length of the block."""
        over = threading.Event()

        def begin(place: int) -> None:
            connection = self.connection()
            due = time.perf_counter() + place / _EVENTS_PER_SEC
            while not over.wait(max(0.0, due - time.perf_counter())):
                self.begin(connection)
                due += _CALLERS / _EVENTS_PER_SEC
            connection.close()

        callers = [threading.Thread(target=begin, args=(place,)) for place in range(_CALLERS)]
        for caller in callers:
            caller.start()
        try:
            yield
        finally:
            over.set()
            for caller in callers:
                caller.join()

    def _post(self, connection: http.client.HTTPConnection, what: str, body: dict[str, object]) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/v1/{what}", json.dumps(body), headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"{what}: {answer.status} {told.decode()}")


def _receivers(home: Path, ports: list[int]) -> Program:
    home.mkdir()
    return script("hook_receiver.py", tuple(map(str, ports)), home, ports[0])


def _cost(server: Server, source: _Source) -> float:
    """Return the daemon's processor time for one delivery of a burst, in microseconds, all included."""
    connection = source.connection()
    goal = source.taken() + _BURST_EVENTS * _HOOKS
    used = server.cpu_secs()
    for _ in range(_BURST_EVENTS):
        source.begin(connection)
    connection.close()
    while source.taken() < goal:
        time.sleep(0.05)
    return (server.cpu_secs() - used) / (_BURST_EVENTS * _HOOKS) * 1e6


def _load(status: Request, scratch: Path, window: float) -> Load:
    load = status.load(scratch, connections=_CONNECTIONS, secs=round(window))
    if load.refused:
        raise RuntimeError(f"{load.refused} of {load.total} requests were refused")
    return load


if __name__ == "__main__":
    main()
