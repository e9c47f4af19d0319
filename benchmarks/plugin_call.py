"""What a plugin call costs, beside the engine's bare function and beside stock wasmtime-py.

    python -m benchmarks.plugin_call [--rounds 15] [--calls 2000]

Three parts, each against its own reference in the same rounds: the call on the thread that owns the instance, the hop
from the event loop to such a thread and back, and the whole way of a call through both.
"""

import argparse
import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread

import uvloop

from benchmarks.callers import Component, RawFfi, Stock
from benchmarks.report import Report
from benchmarks.rounds import Measure, Series, alternate, microseconds_each
from benchmarks.subjects import CALLER, Hosts, Subject, python_guest, settle, small_guests
from prx.plugins.lane import Completions, Lane

_TOGETHER = 8
_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def subjects() -> list[Subject]:
    """Return two small guests, and a Python guest where it is built."""
    large = python_guest()
    return small_guests() + ([large] if large is not None else [])


def main() -> None:
    """Measure all parts and keep the report."""
    options = _options()
    report = Report("plugin_call", "A plugin call", __doc__.partition("\n")[0])
    with TemporaryDirectory() as scratch:
        for subject in subjects():
            _owner_thread(report, subject, Path(scratch), options)
        for loop in _LOOPS:
            _hop(report, loop, options)
        for subject in subjects():
            for loop in _LOOPS:
                _whole(report, subject, loop, Path(scratch), options)
    report.keep()


def _owner_thread(report: Report, subject: Subject, scratch: Path, options: argparse.Namespace) -> None:
    times = options.calls // subject.share
    with asyncio.Runner() as runner, Hosts(runner, scratch) as hosts:
        warm, fresh = hosts.load(subject, "warm"), hosts.load(subject, "fresh")
        plain = Component(subject.wasm, warm.binding.function)
        raw = RawFfi(plain, warm.binding, subject.arguments)
        stock = Stock(plain, warm.binding, subject.arguments)
        settle()
        measured = alternate(
            {
                "raw ffi": microseconds_each(raw, times),
                "PRX warm, limits and receipt": microseconds_each(warm.run(subject.arguments), times),
                "stock wasmtime-py warm": microseconds_each(stock.warm, times),
                "stock wasmtime-py fresh": microseconds_each(stock.fresh, max(times // 10, 10)),
                "PRX fresh, made for the call": microseconds_each(
                    fresh.run(subject.arguments), max(times // 10, 10)
                ),
            },
            options.rounds,
        )
    report.say(f"## On the owner thread: {subject.title}\n")
    report.compare(measured, "raw ffi", "us")
    warm_ratio = measured["PRX warm, limits and receipt"].over(measured["raw ffi"])
    fresh_ratio = measured["PRX fresh, made for the call"].over(measured["stock wasmtime-py fresh"])
    report.target("a warm call over the raw ffi call", warm_ratio, 2.0)
    report.say(f"- A fresh call over stock wasmtime-py's fresh call: {fresh_ratio:.2f}\n")


def _hop(report: Report, loop_name: str, options: argparse.Namespace) -> None:
    with asyncio.Runner(loop_factory=_LOOPS[loop_name]) as runner:
        loop = runner.get_loop()
        lane = Lane("hop", Completions(loop), threads=1, waiting=64, on_idle=lambda _asleep: None)

        async def ours() -> None:
            await lane.submit(int)

        async def executor() -> None:
            await loop.run_in_executor(None, int)

        jobs: SimpleQueue[asyncio.Future[int] | None] = SimpleQueue()
        least = Thread(target=_settle_all, args=(loop, jobs))
        least.start()

        async def floor() -> None:
            done: asyncio.Future[int] = loop.create_future()
            jobs.put(done)
            await done

        settle()
        measured = alternate(
            {
                "default executor": _in_loop(runner, ours=executor, times=options.calls),
                "PRX lane": _in_loop(runner, ours=ours, times=options.calls),
                "floor: one thread, one queue": _in_loop(runner, ours=floor, times=options.calls),
            },
            options.rounds,
        )
        jobs.put(None)
        least.join()
        runner.run(lane.aclose(5))
    report.say(f"## The hop from the event loop to a thread and back, {loop_name}\n")
    report.compare(measured, "default executor", "us")
    report.target("the hop", measured["PRX lane"].median, 20.0, " us")
    report.say("")


def _settle_all(loop: asyncio.AbstractEventLoop, jobs: "SimpleQueue[asyncio.Future[int] | None]") -> None:
    """Do the least that a thread behind an event loop can do."""
    while (done := jobs.get()) is not None:
        loop.call_soon_threadsafe(done.set_result, 0)


def _whole(
    report: Report, subject: Subject, loop_name: str, scratch: Path, options: argparse.Namespace
) -> None:
    times = max(options.calls // subject.share, 10 * _TOGETHER)
    with asyncio.Runner(loop_factory=_LOOPS[loop_name]) as runner, Hosts(runner, scratch) as hosts:
        loop = runner.get_loop()
        warm, fresh = hosts.load(subject, "warm"), hosts.load(subject, "fresh")
        stock = Stock(Component(subject.wasm, warm.binding.function), warm.binding, subject.arguments)
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "stock + executor, warm": lambda: loop.run_in_executor(None, stock.warm),
            "PRX warm": lambda: warm.tool.call(subject.arguments, CALLER),
            "stock + executor, fresh": lambda: loop.run_in_executor(None, stock.fresh),
            "PRX fresh": lambda: fresh.tool.call(subject.arguments, CALLER),
        }
        measures: dict[str, Measure] = {}
        for name, way in ways.items():
            each = max(times // 10, 10 * _TOGETHER) if "fresh" in name else times
            measures[name] = _in_loop(runner, ours=way, times=each)
            measures[f"{name}, {_TOGETHER} at once"] = _in_loop(
                runner, ours=way, times=each, together=_TOGETHER
            )
        settle()
        measured = alternate(measures, options.rounds)
    report.say(f"## The whole call from the event loop, {loop_name}: {subject.title}\n")
    _compare_pairs(report, measured)


def _compare_pairs(report: Report, measured: Mapping[str, Series]) -> None:
    """Set each way of PRX beside the same way of stock wasmtime-py."""
    rows = []
    for name, series in measured.items():
        if name.startswith("PRX"):
            stock = measured[name.replace("PRX", "stock + executor,").replace(",,", ",")]
            rows.append(
                (
                    name.removeprefix("PRX "),
                    f"{series.median:.1f}",
                    f"{stock.median:.1f}",
                    f"{series.over(stock):.2f}",
                )
            )
    report.table(("", "PRX, us per call", "stock + executor, us per call", "ratio"), rows)


def _in_loop(
    runner: asyncio.Runner, *, ours: Callable[[], Awaitable[object]], times: int, together: int = 1
) -> Measure:
    """Return a measure of one `ours`, awaited one after the other by each of `together` tasks."""

    async def one_after_the_other() -> None:
        for _ in range(times // together):
            await ours()

    async def all_tasks() -> float:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(together):
                group.create_task(one_after_the_other())
        return (time.perf_counter() - began) / (times // together * together) * 1e6

    def measure() -> float:
        gc.collect()
        return runner.run(all_tasks())

    return measure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000, help="calls in a round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
