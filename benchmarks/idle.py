"""What a daemon holds and burns while nobody calls it: memory of its whole process tree, and processor time.

    python -m benchmarks.idle [--rounds 3] [--window 60] [--scratch DIR]

Each server runs alone, is left in peace until idle plugins have put their instances away, is weighed, and is then
watched. PSS counts a page that several processes share in part; what else runs on the machine with the same libraries
makes it smaller, so the private part stands beside it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.processes import Program
from benchmarks.programs import PrxHome, bare_aiohttp, nanobot, nanobot_version
from benchmarks.report import Report
from benchmarks.rounds import Series

_SETTLE_SECS = 40.0
_SAMPLES = "PRX, the samples"
_CALLED = "PRX, the samples, after a call of every tool"
_REFERENCE = "bare aiohttp"


@dataclass(frozen=True, slots=True)
class Idle:
    """One server, once."""

    pss: float
    private: float
    cpu_percent: float


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=3, window_secs=60.0)
    report = Report("idle", "At idle", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        homes = Path(scratch)
        few, full, empty = (PrxHome(homes / name) for name in ("few", "full", "empty"))
        samples = few.add_samples()
        full.add_samples()
        full.add_specimens(20 - len(samples))
        few.compile_all()
        full.compile_all()
        programs = {
            _SAMPLES: few.program,
            _CALLED: few.program,
            "PRX, 20 plugins": full.program,
            "PRX, no plugin": empty.program,
            "nanobot gateway": nanobot(homes / "nanobot", options.scratch),
            _REFERENCE: bare_aiohttp(homes / "bare"),
        }
        found: dict[str, list[Idle]] = {name: [] for name in programs}
        for _ in range(options.rounds):
            for name, program in programs.items():
                found[name].append(
                    _idle(program, options.window, few.call_every_tool if name == _CALLED else None)
                )
    report.say(
        f"nanobot-ai {nanobot_version(options.scratch)}; samples: {', '.join(samples) or 'none built'}; "
        f"weighed {_SETTLE_SECS:g} s after the start, watched for {options.window:g} s.\n"
    )
    _tell(report, found)
    report.keep()


def _idle(program: Program, window_secs: float, prepare: Callable[[], None] | None) -> Idle:
    with program.start() as server:
        server.secs_to_healthy()
        if prepare is not None:
            prepare()
        time.sleep(_SETTLE_SECS)
        memory = server.memory()
        cpu, began = server.cpu_secs(), time.monotonic()
        time.sleep(window_secs)
        busy = (server.cpu_secs() - cpu) / (time.monotonic() - began)
    return Idle(memory.pss, memory.private, busy * 100)


def _tell(report: Report, found: dict[str, list[Idle]]) -> None:
    for title, unit, digits, field in (
        ("Memory (PSS)", "MiB", 1, "pss"),
        ("Memory that no other process shares", "MiB", 1, "private"),
    ):
        report.say(f"## {title}\n")
        measured = {
            name: Series(tuple(getattr(idle, field) for idle in idles)) for name, idles in found.items()
        }
        report.compare(measured, _REFERENCE, unit, digits)
    cpu = {name: Series(tuple(idle.cpu_percent for idle in idles)) for name, idles in found.items()}
    report.say("## Processor time, in percent of one core\n")
    report.table(
        ("", "median, %", "rounds"),
        [
            (name, f"{series.median:.2f}", ", ".join(f"{value:.2f}" for value in series.values))
            for name, series in cpu.items()
        ],
    )
    pss = Series(tuple(idle.pss for idle in found[_SAMPLES])).median
    report.target("PSS with the samples", pss, 90, " MiB")
    report.target("PSS with the samples, aim", pss, 70, " MiB")
    report.target("processor time with the samples", cpu[_SAMPLES].median, 0.5, " %")


if __name__ == "__main__":
    main()
