"""Load from wrk, the HTTP load generator of Debian's package of that name."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_P99 = re.compile(r"99%\s+([0-9.]+)(us|ms|s)")
_REFUSED = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)")
_TOTAL = re.compile(r"([0-9]+) requests in")
_BROKEN = re.compile(r"Socket errors: (.*)")
# By itself it takes answers that are later than two seconds for broken connections.
_ANSWER_SECS = 20
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk found."""

    per_sec: float
    p99_ms: float
    refused: int
    """Answers that were no success."""
    total: int


@dataclass(frozen=True, slots=True)
class Request:
    """One request, made again and again: a POST where there is a body."""

    url: str
    headers: Mapping[str, str]
    body: str | None = None
    numbered: str | None = None
    """The part of the body that has another number in each request, as its last word; None repeats the same body."""

    def load(self, scratch: Path, *, connections: int, secs: int) -> Load:
        """Make it over `connections` at once for `secs`.

        Raises:
            RuntimeError: wrk is not installed, or connections broke.
        """
        program = shutil.which("wrk")
        if program is None:
            raise RuntimeError("wrk is not installed: apt install wrk")
        script = scratch / "request.lua"
        headers = dict(self.headers)
        lines = []
        if self.body is not None:
            headers["Content-Type"] = "application/json"
            lines += ['wrk.method = "POST"', f"wrk.body = [[{self.body}]]"]
        if self.body is not None and self.numbered is not None:
            before, _, after = self.body.partition(self.numbered)
            name = self.numbered.rpartition(" ")[0]
            lines += [
                "local number = 0",
                "request = function()",
                "  number = number + 1",
                f"  return wrk.format(nil, nil, nil, [[{before}{name} ]] .. number .. [[{after}]])",
                "end",
            ]
        lines += [f"wrk.headers[ [[{name}]] ] = [[{value}]]" for name, value in headers.items()]
        script.write_text("\n".join(lines), encoding="utf-8")
        load = (f"-c{connections}", f"-d{secs}s", f"-T{_ANSWER_SECS}s")
        command = [program, "-t1", *load, "--latency", "-s", script, self.url]
        told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        if broken := _BROKEN.search(told):
            raise RuntimeError(f"{self.url}: {broken[1]}")
        rate, late, total, refused = (pattern.search(told) for pattern in (_RATE, _P99, _TOTAL, _REFUSED))
        assert rate is not None
        assert late is not None
        assert total is not None
        return Load(
            per_sec=float(rate[1]),
            p99_ms=float(late[1]) * _MS[late[2]],
            refused=int(refused[1]) if refused is not None else 0,
            total=int(total[1]),
        )
