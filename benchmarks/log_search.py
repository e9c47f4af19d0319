"""How long `GET /logs?limit=100` takes over a million lines.

    python -m benchmarks.log_search [--rounds 200] [--lines 1000000]

The lines are written into the data directory beforehand, over several files. The first search, which looks at all of
them, is told apart; `grep -c` over the same files is what one would use instead. The processor time is that of the
daemon for one answer, which a busy machine changes less.
"""

import argparse
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from benchmarks.programs import PrxHome
from benchmarks.report import Report
from prx.core.ids import iso_utc
from prx.runtime.logs.files import LogFiles, log_files
from prx.runtime.logs.line import LogLine, moment_of

_QUERIES = {
    "the newest 100": "limit=100",
    "of all levels, since long ago": "limit=100&level=trace&since=2d",
    "of one module": "limit=100&module=plugin::weather&since=2d",
    "errors, one in ten thousand": "limit=100&level=error&since=2d",
    "the 500,000th and on": "limit=100&offset=500000&since=2d",
    "since half of them": "limit=100&since={middle}",
}
_TARGET_MS = 50.0
_MODULES = ("plugins::catalogue", "plugin::weather", "plugin::notes", "api::edge", "supervisor")


def main() -> None:
    """Measure and keep the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    report = Report("log_search", "Searching the log", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        prx = PrxHome(Path(scratch) / "prx", {"daemon.log_files": 16})
        directory = Path(scratch) / "prx" / "data" / "logs"
        middle = _write(directory, options.lines)
        size = sum(path.stat().st_size for path in log_files(directory))
        report.say(f"{options.lines} lines, {size / 2**20:.0f} MiB in {len(log_files(directory))} files.\n")
        with prx.program.start() as server:
            server.secs_to_healthy()
            before = server.memory().pss
            token = prx.token()
            connection = http.client.HTTPConnection("127.0.0.1", prx.program.port, timeout=60)
            first, _ = _ask(connection, token, "limit=100")
            rows = []
            worst = 0.0
            for name, query in _QUERIES.items():
                cpu = server.cpu_secs()
                found = [_ask(connection, token, query.format(middle=middle)) for _ in range(options.rounds)]
                cpu_ms = (server.cpu_secs() - cpu) / options.rounds * 1000
                times = [ms for ms, _ in found]
                p99 = quantiles(times, n=100)[98]
                worst = max(worst, p99)
                rows.append((name, f"{found[0][1]}", f"{median(times):.2f}", f"{p99:.2f}", f"{cpu_ms:.1f}"))
            after = server.memory().pss
        report.say(f"- The first search: {first:.0f} ms; `grep -c` of one word: {_grep_ms(directory):.0f} ms")
        report.say(f"- Memory, MiB: {before:.1f} before the first search, {after:.1f} after the last\n")
        report.table(("lines", "total", "median, ms", "p99, ms", "processor time, ms"), rows)
        report.target("p99 of the slowest query", worst, _TARGET_MS, " ms")
    report.keep()


def _write(directory: Path, count: int) -> str:
    """Write lines of the last fifty minutes; return the time of the one in the middle."""
    files = LogFiles(directory, max_file_bytes=16 << 20, max_files=16)
    start = time.time_ns() // 1000 - 3_000_000_000
    step = 3_000_000_000 // count
    for first in range(0, count, 1000):
        files.write([line.on_disk() for line in _lines(start, step, first, min(count, first + 1000))], 0)
    files.close()
    return iso_utc(moment_of(start + step * (count // 2)))


def _lines(start: int, step: int, first: int, past: int) -> Iterator[LogLine]:
    for number in range(first, past):
        seq = start + number * step
        timestamp = iso_utc(moment_of(seq))
        level, module = ("error" if number % 10_000 == 0 else "info"), _MODULES[number % len(_MODULES)]
        body = {
            "timestamp": timestamp,
            "level": level,
            "module": module,
            "message": "plugin loaded",
            "number": number,
        }
        yield LogLine(seq, timestamp.encode(), ("info", module), json.dumps(body).encode())


def _ask(connection: http.client.HTTPConnection, token: str, query: str) -> tuple[float, int]:
    began = time.perf_counter()
    connection.request("GET", f"/api/v1/logs?{query}", headers={"Authorization": f"Bearer {token}"})
    answer = json.loads(connection.getresponse().read())
    assert "total" in answer, answer
    return (time.perf_counter() - began) * 1000, answer["total"]


def _grep_ms(directory: Path) -> float:
    began = time.perf_counter()
    subprocess.run(["grep", "-rc", "weather", str(directory)], check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
