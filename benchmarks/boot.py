"""From the start of the process to a healthy answer on its port, every plugin found compiled in the cache.

    python -m benchmarks.boot [--rounds 10] [--scratch DIR]

The reference is the gateway of nanobot-ai, installed once into the scratch directory and started without a provider,
a key or a network. Bare aiohttp is the floor: what the interpreter and the HTTP server alone take.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.processes import Program
from benchmarks.programs import PrxHome, bare_aiohttp, nanobot, nanobot_version
from benchmarks.report import Report
from benchmarks.rounds import Measure, alternate

_PLUGINS = 20
_REFERENCE = "nanobot gateway"
_FULL = f"PRX, {_PLUGINS} plugins"


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=10)
    report = Report("boot", "Boot to ready", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        homes = Path(scratch)
        full, empty = PrxHome(homes / "full"), PrxHome(homes / "empty")
        samples = full.add_samples()
        full.add_specimens(_PLUGINS - len(samples))
        full.compile_all()
        before = full.compiled()
        programs = {
            _FULL: full.program,
            "PRX, no plugin": empty.program,
            _REFERENCE: nanobot(homes / "nanobot", options.scratch),
            "bare aiohttp": bare_aiohttp(homes / "bare"),
        }
        measured = alternate({name: _boot(program) for name, program in programs.items()}, options.rounds)
        after = full.compiled()
    report.say(
        f"nanobot-ai {nanobot_version(options.scratch)}; {_PLUGINS} plugins: the samples "
        f"{', '.join(samples) or '(none built)'}, the rest small components of the test corpus.\n"
    )
    report.compare(measured, _REFERENCE, "s", digits=3)
    report.target("PRX over nanobot", measured[_FULL].over(measured[_REFERENCE]), 0.8)
    verdict = "none was compiled again" if before == after else "SOME WERE COMPILED AGAIN"
    report.say(f"- {len(before)} files of compiled code before all rounds, {len(after)} after; {verdict}")
    report.keep()


def _boot(program: Program) -> Measure:
    def measure() -> float:
        with program.start() as server:
            return server.secs_to_healthy()

    return measure


if __name__ == "__main__":
    main()
