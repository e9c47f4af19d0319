"""`POST /tools/:name/call` on the wire, beside a bare FastAPI endpoint around the Extism SDK.

    python -m benchmarks.tool_endpoint [--rounds 9] [--window 2] [--scratch DIR]

PRX checks the token, its scope and the rate limit, which is set too high to refuse anybody, validates the arguments,
bounds time and memory and answers with a receipt; the endpoint does none of it. All servers run throughout, and wrk
asks one at a time. At the end PRX is asked once with the rate limits that it comes with.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from wasmtime import wat2wasm

from benchmarks.options import server_options
from benchmarks.processes import Program, free_port
from benchmarks.programs import PrxHome, custom_section, script
from benchmarks.references import EXTISM, environment, versions
from benchmarks.report import Report
from benchmarks.rounds import Measure, Series, alternate
from benchmarks.wrk import Load, Request
from prx.config.schema import RateLimitsConfig
from tests.components.corpus import component

_HIGH = 10_000_000
_CONNECTIONS = (1, 32)
_BODY = json.dumps({"arguments": {"text": "hello"}})
_POOL, _INLINE = "FastAPI + Extism", "FastAPI + Extism, on the event loop"
_TARGETS = {("warm", 1): 1.0, ("warm", 32): 1.3, ("fresh", 1): 2.0, ("fresh", 32): 2.0}


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=9, window_secs=2.0)
    report = Report("tool_endpoint", "A tool call on the wire", str(__doc__).partition("\n")[0])
    programs = environment(options.scratch, "extism", EXTISM)
    report.say(f"Reference: {versions(programs, EXTISM)}.\n")
    with TemporaryDirectory() as scratch:
        homes = Path(scratch)
        prx = _prx(homes / "prx", {"gateway.rate_limits.other": _HIGH})
        limited = _prx(homes / "limited", {"gateway.rate_limits.other": RateLimitsConfig().other})
        extism = _extism(homes / "extism", programs)
        with prx.program.start() as ours, extism.start() as theirs:
            ours.secs_to_healthy()
            theirs.secs_to_healthy()
            found = _loads(prx, extism, homes, options)
        with limited.program.start() as server:
            server.secs_to_healthy()
            with_limits = _post(limited, "warm").load(homes, connections=32, secs=round(options.window))
    _tell(report, found)
    served = with_limits.total - with_limits.refused
    report.say(
        f"\nWith the rate limits that PRX comes with, 32 connections over {options.window:g} s: {served} calls served, "
        f"{with_limits.refused} refused with 429, {with_limits.per_sec:,.0f} answers per second, "
        f"p99 {with_limits.p99_ms:.1f} ms."
    )
    report.keep()


def _loads(
    prx: PrxHome, extism: Program, scratch: Path, options: argparse.Namespace
) -> dict[tuple[str, str, int], tuple[Series, Series]]:
    """Return calls per second and the 99th percentile in ms, for each way, server and number of connections."""
    late: dict[tuple[str, str, int], list[float]] = {}

    def measure(key: tuple[str, str, int], post: Request) -> Measure:
        def run() -> float:
            load = post.load(scratch, connections=key[2], secs=round(options.window))
            _refuse_failures(key, load)
            late.setdefault(key, []).append(load.p99_ms)
            return load.per_sec

        return run

    at = f"http://127.0.0.1:{extism.port}"
    contenders = {}
    for way in ("warm", "fresh"):
        posts = {
            "PRX": _post(prx, way),
            _POOL: Request(f"{at}/{way}", {}, _BODY),
            _INLINE: Request(f"{at}/{way}-inline", {}, _BODY),
        }
        for connections in _CONNECTIONS:
            for name, post in posts.items():
                key = (way, name, connections)
                contenders[key] = measure(key, post)
    rates = alternate(contenders, options.rounds)
    return {key: (series, Series(tuple(late[key]))) for key, series in rates.items()}


def _refuse_failures(key: tuple[str, str, int], load: Load) -> None:
    if load.refused:
        raise RuntimeError(f"{key}: {load.refused} of {load.total} calls were refused")


def _tell(report: Report, found: dict[tuple[str, str, int], tuple[Series, Series]]) -> None:
    for way in ("warm", "fresh"):
        report.say(f"## {way.capitalize()} instances\n")
        rows, targets = [], []
        for connections in _CONNECTIONS:
            ours = found[way, "PRX", connections][0]
            for name in ("PRX", _POOL, _INLINE):
                rate, late = found[way, name, connections]
                rows.append(
                    (
                        name,
                        str(connections),
                        f"{rate.median:,.0f}",
                        f"{min(rate.values):,.0f} to {max(rate.values):,.0f}",
                        f"{late.median:.1f}",
                        "" if name == "PRX" else f"{ours.over(rate):.2f}",
                    )
                )
            # The quicker of the two is what PRX is held against.
            ratio = ours.over(found[way, _INLINE, connections][0])
            what = f"{way}, {connections} at a time, over {_INLINE}"
            targets.append((what, ratio, _TARGETS[way, connections]))
        report.table(
            ("", "connections", "median, calls/s", "least to most", "p99, ms", "PRX makes times as many"),
            rows,
        )
        for target in targets:
            report.at_least(*target)
        report.say("")


def _prx(home: Path, settings: dict[str, int]) -> PrxHome:
    made = PrxHome(home, settings)
    for mode in ("warm", "fresh"):
        resources = f'[resources]\ninstance = "{mode}"\n'
        made.add_directories({mode: component("tool-echo") + custom_section(mode)}, resources)
    made.compile_all()
    return made


def _post(home: PrxHome, way: str) -> Request:
    url = f"http://127.0.0.1:{home.program.port}/api/v1/tools/{way}_tool_echo/call"
    return Request(url, {"Authorization": f"Bearer {home.token()}"}, _BODY)


def _extism(home: Path, programs: Path) -> Program:
    home.mkdir()
    guest = home / "echo.wasm"
    guest.write_bytes(wat2wasm(Path(__file__).with_name("extism_echo.wat").read_text(encoding="utf-8")))
    port = free_port()
    return script("extism_server.py", (str(guest), str(port)), home, port, python=programs / "python")


if __name__ == "__main__":
    main()
