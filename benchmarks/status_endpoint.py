"""`GET /status` on the wire, beside a bare aiohttp handler of the same bytes, and FastAPI with auth and a model.

    python -m benchmarks.status_endpoint [--rounds 9] [--window 2] [--plugins 500] [--scratch DIR]

PRX runs with the sample plugins, and once more with many. Token, scope, rate limit (too high to refuse anybody), Host,
time limit, request id and headers are all on. Every server is one process on uvloop; all run throughout, and wrk asks
one at a time. The processor time is that of the server for one answer, which a busy machine changes less.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.processes import Program, Server, free_port
from benchmarks.programs import PrxHome, home_of_many, script
from benchmarks.references import environment, versions
from benchmarks.report import Report
from benchmarks.rounds import Series, alternate
from benchmarks.wrk import Request

_HIGH = 10_000_000
_CONNECTIONS = (1, 32)
_MANY = 32
_FASTAPI = ("fastapi", "uvicorn", "uvloop", "httptools")
_PRX, _BARE, _MODEL = "PRX", "bare aiohttp", "FastAPI"


_Contenders = dict[tuple[str, int], "_Contender"]
"""By name and number of connections."""
_Rates = dict[tuple[str, int], Series]


class _Contender:
    """One server under load, round by round."""

    def __init__(self, server: Server, request: Request, connections: int, scratch: Path, secs: int) -> None:
        self._server = server
        self._request = request
        self._connections = connections
        self._scratch = scratch
        self._secs = secs
        self._late: list[float] = []
        self._cpu: list[float] = []

    def per_sec(self) -> float:
        """Load it once; return its answers per second.

        Raises:
            RuntimeError: it refused one.
        """
        cpu = self._server.cpu_secs()
        load = self._request.load(self._scratch, connections=self._connections, secs=self._secs)
        if load.refused:
            raise RuntimeError(f"{self._request.url}: {load.refused} of {load.total} requests were refused")
        self._cpu.append((self._server.cpu_secs() - cpu) / load.total * 1e6)
        self._late.append(load.p99_ms)
        return load.per_sec

    @property
    def p99_ms(self) -> Series:
        """The 99th percentiles."""
        return Series(tuple(self._late))

    @property
    def cpu_us(self) -> Series:
        """Processor time for one answer."""
        return Series(tuple(self._cpu))


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=9, window_secs=2.0, plugins=500)
    report = Report("status_endpoint", "The status on the wire", str(__doc__).partition("\n")[0])
    programs = environment(options.scratch, "fastapi", _FASTAPI)
    many = f"PRX, {options.plugins} plugins"
    with TemporaryDirectory() as scratch, ExitStack() as running:
        root = Path(scratch)
        limits = {"gateway.rate_limits.other": _HIGH}
        homes = {
            _PRX: PrxHome(root / "few", limits),
            many: home_of_many(root / "many", options.plugins, limits),
        }
        samples = homes[_PRX].add_samples()
        homes[_PRX].compile_all()
        contenders: _Contenders = {}

        def add(name: str, program: Program, path: str, token: str) -> None:
            server = running.enter_context(program.start())
            server.secs_to_healthy()
            url = f"http://127.0.0.1:{program.port}{path}"
            request = Request(url, {"Authorization": f"Bearer {token}"})
            for connections in _CONNECTIONS:
                key = (name, connections)
                contenders[key] = _Contender(server, request, connections, root, round(options.window))

        for name, home in homes.items():
            add(name, home.program, "/api/v1/status", home.token())
        body = root / "status.json"
        body.write_text(json.dumps(homes[_PRX].ask("status"), separators=(",", ":")), encoding="utf-8")
        for name, program in _references(root, body, programs).items():
            add(name, program, "/status", "prx_benchmark")
        rates = alternate({key: each.per_sec for key, each in contenders.items()}, options.rounds)
    report.say(f"{versions(programs, _FASTAPI)}; samples: {', '.join(samples) or 'none built'}.\n")
    _tell(report, rates, contenders)
    ours = rates[_PRX, _MANY]
    report.at_least("over bare aiohttp at 32 connections", ours.over(rates[_BARE, _MANY]), 0.4)
    report.at_least("over FastAPI at 32 connections", ours.over(rates[_MODEL, _MANY]), 1.5)
    report.at_least(f"{options.plugins} plugins over the samples", rates[many, _MANY].over(ours), 0.9)
    report.keep()


def _references(root: Path, body: Path, programs: Path) -> dict[str, Program]:
    found = {}
    for name, file, python in (
        (_BARE, "status_aiohttp.py", None),
        (_MODEL, "status_fastapi.py", programs / "python"),
    ):
        home, port = root / name, free_port()
        home.mkdir()
        chosen = {} if python is None else {"python": python}
        found[name] = script(file, (str(body), str(port)), home, port, **chosen)
    return found


def _tell(report: Report, rates: _Rates, contenders: _Contenders) -> None:
    report.table(
        (
            "",
            "connections",
            "median, answers/s",
            "least to most",
            "p99, ms",
            "processor time, us",
            "PRX makes times as many",
        ),
        [
            (
                name,
                str(connections),
                f"{rate.median:,.0f}",
                f"{min(rate.values):,.0f} to {max(rate.values):,.0f}",
                f"{contenders[name, connections].p99_ms.median:.1f}",
                f"{contenders[name, connections].cpu_us.median:.0f}",
                "" if name == _PRX else f"{rates[_PRX, connections].over(rate):.2f}",
            )
            for (name, connections), rate in sorted(rates.items(), key=lambda item: item[0][1])
        ],
    )


if __name__ == "__main__":
    main()
