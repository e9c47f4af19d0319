"""How long sessions take to list, filter and page with 10,000 of them open, and what they cost in memory.

    python -m benchmarks.session_list [--rounds 200] [--sessions 10000]

They are put into the store beforehand, over ten channels and the last hour, a tenth of them with 4 KiB of metadata. A
store that holds one is what the daemon's memory is compared with.
"""

import argparse
import http.client
import json
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from benchmarks.programs import PrxHome
from benchmarks.report import Report
from prx.agent.session_table import insert
from prx.core.ids import new_id, now_utc
from prx.core.session import Session, TokenUsage
from prx.runtime.migrations import migrate

_QUERIES = {
    "the newest 50 that are active": "/sessions",
    "the newest 500": "/sessions?limit=500",
    "the 2,000th and on": "/sessions?offset=2000",
    "idle": "/sessions?status=idle",
    "idle, the 5,000th and on": "/sessions?status=idle&offset=5000",
    "terminated": "/sessions?status=terminated",
    "of one channel": "/sessions?channel=channel3",
    "idle of one channel": "/sessions?status=idle&channel=channel3",
    "how many, in /status": "/status",
}
_TARGET_MS = 50.0
_TARGET_KIB = 20.0
_HOUR = 3600
_BIG = 4096


def main() -> None:
    """Measure and keep the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=10_000)
    options = parser.parse_args()
    report = Report("session_list", "Listing sessions", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        few, _ = _measure(Path(scratch) / "few", 1, 10)
        many, times = _measure(Path(scratch) / "many", options.sessions, options.rounds)
    each = (many - few) * 1024 / options.sessions
    report.say(f"{options.sessions} open sessions.\n")
    report.table(
        ("sessions", "median, ms", "p99, ms"),
        [(name, f"{median(found):.2f}", f"{_p99(found):.2f}") for name, found in times.items()],
    )
    report.target("p99 of the slowest query", max(map(_p99, times.values())), _TARGET_MS, " ms")
    report.target("memory of one open session, after they were listed", each, _TARGET_KIB, " KiB")
    report.keep()


def _measure(home: Path, count: int, rounds: int) -> tuple[float, dict[str, list[float]]]:
    """Return the daemon's memory in MiB after `rounds` of every query over `count` sessions, and their times."""
    prx = PrxHome(home, {"gateway.rate_limits.sessions_read": 0, "agent.session_timeout_secs": 2 * _HOUR})
    _fill(home / "data", count)
    with prx.program.start() as server:
        server.secs_to_healthy()
        token = prx.token()
        connection = http.client.HTTPConnection("127.0.0.1", prx.program.port, timeout=60)
        times = {
            name: [_ask(connection, token, query) for _ in range(rounds)] for name, query in _QUERIES.items()
        }
        return server.memory().pss, times


def _fill(data_dir: Path, count: int) -> None:
    """Write sessions of the last hour, the earliest first."""
    data_dir.mkdir(mode=0o700, parents=True)
    path = data_dir / "prx.db"
    now = now_utc()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path)
        connection.execute("BEGIN")
        for number in range(count):
            at = now - timedelta(seconds=_HOUR * (count - number) / count)
            metadata = {"source": "x" * (10 if number % 10 else _BIG)}
            channel = f"channel{number % 10}"
            insert(
                connection,
                Session(
                    new_id("sess"), channel, f"user{number}", "active", at, at, 0, TokenUsage(), metadata
                ),
            )
        connection.execute("COMMIT")


def _ask(connection: http.client.HTTPConnection, token: str, path: str) -> float:
    began = time.perf_counter()
    connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
    answer = json.loads(connection.getresponse().read())
    assert "error" not in answer, answer
    return (time.perf_counter() - began) * 1000


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


if __name__ == "__main__":
    main()
