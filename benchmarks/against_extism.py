"""A plugin call beside a call through the Extism Python SDK: warm, from a fresh instance, and on two threads.

    python -m benchmarks.against_extism [--rounds 101] [--calls 200] [--scratch DIR]

Both call an echo of five bytes on the thread that makes the call. The SDK is given no limits and keeps no account; PRX
has its time and memory limits on and writes a receipt. The SDK runs in a process of its own, which works only when it
is asked to. Rounds are many and shorter than a turn of the scheduler, so that the median is of undisturbed ones.
"""

import argparse
import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import uvloop
from wasmtime import wat2wasm

from benchmarks.options import server_options
from benchmarks.references import EXTISM, environment, versions
from benchmarks.report import Report
from benchmarks.rounds import Measure, Series, alternate, microseconds_each
from benchmarks.subjects import CALLER, Hosts, Loaded, Subject, python_guest, settle, small_guests

_REFERENCE = "Extism"
_THREADS = 2
_FRESH_SHARE = 10
_LATENCIES = 200
_WORKING_CALLS = 100
# Threads that end within the interpreter's switching interval of 5 ms run one after the other, whatever they call.
_TOGETHER = 20


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=101, calls=200)
    programs = environment(options.scratch, "extism", EXTISM)
    report = Report("against_extism", "A plugin call beside Extism", str(__doc__).partition("\n")[0])
    report.say(f"Reference: {versions(programs, EXTISM[:1])}, in a process of its own.\n")
    with TemporaryDirectory() as scratch, _extism(programs, Path(scratch)) as extism:
        for subject in small_guests():
            _small(report, subject, Path(scratch), extism, options)
        if (guest := python_guest()) is not None:
            _large(report, guest, Path(scratch))
            _working(report, guest, Path(scratch), options.rounds)
    report.keep()


def _small(
    report: Report,
    subject: Subject,
    scratch: Path,
    extism: Callable[[str, int], Measure],
    options: argparse.Namespace,
) -> None:
    calls, rounds = options.calls, options.rounds
    with asyncio.Runner() as runner, Hosts(runner, scratch) as hosts:
        warm, fresh = hosts.load(subject, "warm"), hosts.load(subject, "fresh")
        settle()
        each: dict[str, tuple[Measure, Measure]] = {
            "warm": (microseconds_each(warm.run(subject.arguments), calls), extism("warm", calls)),
            "fresh": (
                microseconds_each(fresh.run(subject.arguments), calls // _FRESH_SHARE),
                extism("fresh", calls // _FRESH_SHARE),
            ),
            f"warm, on {_THREADS} threads": (
                _together(warm, subject.arguments, _TOGETHER * calls),
                extism("together", _TOGETHER * calls),
            ),
        }
        found = alternate(
            {
                (way, who): pair[place]
                for way, pair in each.items()
                for place, who in enumerate(("PRX", _REFERENCE))
            },
            rounds,
        )
    report.say(f"## {subject.title}\n")
    report.table(
        (
            "",
            "PRX, us per call (middle half)",
            f"{_REFERENCE}, us per call (middle half)",
            "PRX calls per second",
            "times Extism's",
        ),
        [_row(way, found[way, "PRX"], found[way, _REFERENCE]) for way in each],
    )
    warm_ratio = found["warm", _REFERENCE].over(found["warm", "PRX"])
    fresh_ratio = found["fresh", _REFERENCE].over(found["fresh", "PRX"])
    threads = found["warm", "PRX"].over(found[f"warm, on {_THREADS} threads", "PRX"])
    report.at_least("warm calls per second over Extism's", warm_ratio, 2)
    report.at_least("fresh calls per second over Extism's", fresh_ratio, 1)
    report.at_least("two threads over one, PRX", threads, 1.5)
    report.say("")


def _row(way: str, ours: Series, theirs: Series) -> tuple[str, ...]:
    spreads = []
    for series in (ours, theirs):
        low, _, high = quantiles(series.values, n=4)
        spreads.append(f"{series.median:.1f} ({low:.1f} to {high:.1f})")
    return way, *spreads, f"{1e6 / ours.median:,.0f}", f"{theirs.over(ours):.2f}"


def _large(report: Report, subject: Subject, scratch: Path) -> None:
    """Time single calls of a Python guest whose instances are fresh, as a caller waits for them."""
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        Hosts(runner, scratch) as hosts,
    ):
        fresh = hosts.load(subject, "fresh")
        settle()
        made = Series(tuple(_times(fresh.run(subject.arguments))))
        one_after_the_other = Series(tuple(runner.run(_latencies(fresh, subject, pause=0.0))))
        apart = Series(tuple(runner.run(_latencies(fresh, subject, pause=0.02))))
    report.say(f"## {subject.title}, a fresh instance for each call\n")
    rows = (
        ("made for the call, on the thread that makes it", made),
        ("from the event loop, one after the other", one_after_the_other),
        ("from the event loop, 20 ms apart", apart),
    )
    report.table(
        ("", "p50, ms", "p95, ms"),
        [(name, *(f"{value / 1000:.2f}" for value in _middle_and_late(series))) for name, series in rows],
    )
    for name, series in rows:
        report.target(f"p50, {name}", series.median / 1000, 2, " ms")
    report.say("")


def _working(report: Report, subject: Subject, scratch: Path, rounds: int) -> None:
    """Call a guest that has something to do on one thread and on two: what is not the guest holds the interpreter."""
    arguments = {"text": "What a guest is given to work on " * 100}
    with asyncio.Runner() as runner, Hosts(runner, scratch) as hosts:
        warm = hosts.load(subject, "warm")
        settle()
        one = microseconds_each(warm.run(arguments), _WORKING_CALLS)
        found = alternate({"one": one, "two": _together(warm, arguments, 2 * _WORKING_CALLS)}, rounds)
    report.say(f"## {subject.title} of 3 KB of text, warm, on two threads\n")
    report.say(f"One thread {found['one'].median:.0f} us for each call, two {found['two'].median:.0f} us.\n")
    report.at_least("two threads over one, a guest that works", found["one"].over(found["two"]), 1.5)


def _times(work: Callable[[], object]) -> Iterator[float]:
    for _ in range(_LATENCIES):
        began = time.perf_counter()
        work()
        yield (time.perf_counter() - began) * 1e6


async def _latencies(fresh: Loaded, subject: Subject, *, pause: float) -> list[float]:
    found = []
    for _ in range(_LATENCIES):
        began = time.perf_counter()
        result = await fresh.tool.call(subject.arguments, CALLER)
        found.append((time.perf_counter() - began) * 1e6)
        assert result.success
        await asyncio.sleep(pause)
    return found


def _middle_and_late(series: Series) -> tuple[float, float]:
    values = sorted(series.values)
    return series.median, values[int(len(values) * 0.95)]


def _together(loaded: Loaded, arguments: Mapping[str, Any], calls: int) -> Measure:
    work = loaded.run(arguments)

    def some() -> None:
        for _ in range(calls // _THREADS):
            work()

    def all_of_them() -> None:
        threads = [Thread(target=some) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    measure = microseconds_each(all_of_them, 1)
    return lambda: measure() / (calls // _THREADS * _THREADS)


@contextmanager
def _extism(programs: Path, scratch: Path) -> Iterator[Callable[[str, int], Measure]]:
    """Give a maker of measures, each of which has the SDK make some calls in one of its ways."""
    guest = scratch / "extism_echo.wasm"
    guest.write_bytes(wat2wasm(Path(__file__).with_name("extism_echo.wat").read_text(encoding="utf-8")))
    # -P: the benchmarks beside the script are no modules of its own.
    command = [programs / "python", "-P", Path(__file__).with_name("extism_caller.py"), guest]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def measure(way: str, calls: int) -> float:
            process.stdin.write(f"{way} {calls}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield lambda way, calls: lambda: measure(way, calls)
        process.stdin.close()


if __name__ == "__main__":
    main()
