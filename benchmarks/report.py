"""The report of one benchmark: what was run where, and tables; printed, and kept in `results/`."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.rounds import Series

ROOT = Path(__file__).resolve().parent.parent
_RESULTS = Path(__file__).parent / "results"
_LIBRARIES = ("wasmtime", "aiohttp", "uvloop", "pydantic")


class Report:
    """Markdown that grows line by line; `keep` writes it to `results/<name>.md`."""

    def __init__(self, name: str, title: str, about: str) -> None:
        """Begin with the title, what is measured, and the machine."""
        self._path = _RESULTS / f"{name}.md"
        self._lines: list[str] = []
        now = datetime.now(UTC)
        self.say(f"# {title}\n\n{about}\n")
        self.say(f"- Run: {now:%Y-%m-%d %H:%M} UTC, `python -m benchmarks.{' '.join([name, *sys.argv[1:]])}`")
        self.say(f"- PRX: {_revision()}")
        self.say(f"- Machine: {_machine()}")
        self.say(f"- Versions: {_versions()}\n")

    def say(self, text: str) -> None:
        """Add a paragraph or a line."""
        print(text, flush=True)
        self._lines.append(text)

    def table(self, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """Add a table, followed by an empty line."""
        heads = list(heads)
        for cells in (heads, ["---"] * len(heads), *rows):
            self.say(f"| {' | '.join(cells)} |")
        self.say("")

    def compare(self, measured: Mapping[str, Series], reference: str, unit: str, digits: int = 1) -> None:
        """Add a table of medians, spreads and ratios to the contender named `reference`."""
        self.table(
            ("", f"median, {unit}", "least to most", f"ratio to {reference}"),
            [
                (
                    name,
                    f"{series.median:.{digits}f}",
                    f"{min(series.values):.{digits}f} to {max(series.values):.{digits}f}",
                    f"{series.over(measured[reference]):.2f}",
                )
                for name, series in measured.items()
            ],
        )

    def target(self, what: str, found: float, most: float, unit: str = "") -> None:
        """Say whether a number that `docs` promise was reached."""
        verdict = "met" if found <= most else "MISSED"
        self.say(f"- Target {verdict}: {what}: {found:.3g}{unit}, at most {most:g}{unit}")

    def at_least(self, what: str, found: float, least: float, unit: str = "") -> None:
        """Say whether a number that should be large was reached."""
        verdict = "met" if found >= least else "MISSED"
        self.say(f"- Target {verdict}: {what}: {found:.3g}{unit}, at least {least:g}{unit}")

    def keep(self) -> None:
        """Write the report to its file, and say how busy the machine was meanwhile."""
        self.say(f"\nLoad average at the end: {os.getloadavg()[0]:.2f}.")
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text("\n".join(self._lines) + "\n", encoding="utf-8")


def _revision() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f"{version('prx')} ({described.stdout.strip() or 'no git'})"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{_cpu()}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}, load average {load:.2f}"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return f"CPython {platform.python_version()}, {libraries}"
