"""From a plugin's file being replaced to the first answer of its new version, over the daemon's port.

    python -m benchmarks.replaced_file [--rounds 15]

A small component and a Python guest of 18 MB. First their new version was compiled before; then the small one's was
not, and what its compiler takes by itself, in a process of its own as the daemon starts it, stands beside it.
"""

import argparse
import hashlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from wasmtime import wat2wasm

from benchmarks.programs import PrxHome, custom_section
from benchmarks.report import Report
from benchmarks.rounds import Measure, alternate
from benchmarks.subjects import python_guest

_SMALL, _LARGE = "small", "large"
_SETTLE_SECS = 0.4
_LOOK_SECS = 0.001
_GIVE_UP_SECS = 60.0
_versions = count(1)

_GUEST = """
(component
  (core module $m (func (export "version") (result i32) (i32.const {number})))
  (core instance $i (instantiate $m))
  (func (export "version") (result u32) (canon lift (core func $i "version"))))
"""


def main() -> None:
    """Measure and keep the report."""
    options = _options()
    report = Report("replaced_file", "A replaced file", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        home = PrxHome(Path(scratch) / "prx")
        first, second = _small(next(_versions)), _small(next(_versions))
        home.add_components({_SMALL: first})
        large = python_guest()
        large_versions = [large.wasm, large.wasm + custom_section("second")] if large is not None else []
        if large_versions:
            home.add_components({_LARGE: large_versions[0]})
        home.compile_all()
        with home.program.start() as server:
            server.secs_to_healthy()
            daemon = _Daemon(home)
            for content in (second, first):
                daemon.replace_small(content)
            contenders: dict[str, Measure] = {
                "small, from cache": _turns(daemon.replace_small, [second, first]),
                "small, compiled": lambda: daemon.replace_small(_small(next(_versions))),
                "the compiler by itself": lambda: _compile(_small(next(_versions)), Path(scratch)),
            }
            if large_versions:
                for content in reversed(large_versions):
                    daemon.replace_large(content)
                contenders["18 MB, from cache"] = _turns(daemon.replace_large, large_versions[::-1])
            measured = alternate(contenders, options.rounds)
            daemon.close()
    report.table(
        ("", "median, ms", "least to most"),
        [
            (name, f"{series.median:.0f}", f"{min(series.values):.0f} to {max(series.values):.0f}")
            for name, series in measured.items()
        ],
    )
    beyond = measured["small, compiled"].median - measured["the compiler by itself"].median
    report.target("beyond what the compiler takes", beyond, 50, " ms")
    for name, series in measured.items():
        if "from cache" in name:
            report.target(name, series.median, 100, " ms")
    report.keep()


class _Daemon:
    """A client of the running daemon, over one connection that stays open."""

    def __init__(self, home: PrxHome) -> None:
        self._home = home
        self._headers = {"Authorization": f"Bearer {home.token()}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", home.program.port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def replace_small(self, content: bytes) -> float:
        """Replace the small plugin; return the milliseconds until the new version answers."""
        number = _number(content)
        return self._replaced(_SMALL, content, lambda: self._call("small_version", {}) == number)

    def replace_large(self, content: bytes) -> float:
        """Replace the large plugin; return the milliseconds until the new version answers."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

        def answers() -> bool:
            serves = self._ask("GET", f"plugins/{_LARGE}").get("digest") == digest
            return serves and self._call("large_slugify", {"text": "A b"}) == "a-b"

        return self._replaced(_LARGE, content, answers)

    def _replaced(self, name: str, content: bytes, answers: Callable[[], bool]) -> float:
        path = self._home.plugins / f"{name}.wasm"
        new = path.with_name(f".{name}.new")
        new.write_bytes(content)
        time.sleep(_SETTLE_SECS)  # what writing it made the daemon notice is over
        began = time.perf_counter()
        os.replace(new, path)  # noqa: PTH105  # one word for what it is
        while not answers():
            if time.perf_counter() - began > _GIVE_UP_SECS:
                raise RuntimeError(f"{name}: its new version does not answer")
            time.sleep(_LOOK_SECS)
        return (time.perf_counter() - began) * 1000

    def _call(self, tool: str, arguments: dict[str, str]) -> object:
        return self._ask("POST", f"tools/{tool}/call", {"arguments": arguments})["output"]

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1/{path}", content, self._headers)
        answer: dict[str, object] = json.loads(self._connection.getresponse().read())
        if "error" in answer and answer["error"] is not None:
            raise RuntimeError(f"{path}: {answer['error']}")
        return answer


def _turns(replace: Callable[[bytes], float], versions: list[bytes]) -> Measure:
    turns = cycle(versions)
    return lambda: replace(next(turns))


def _small(number: int) -> bytes:
    return bytes(wat2wasm(_GUEST.format(number=number))) + custom_section(f"version-{number}")


def _number(content: bytes) -> int:
    return int(content.rpartition(b"version-")[2])


def _compile(content: bytes, scratch: Path) -> float:
    source, target = scratch / "source", scratch / "target"
    source.write_bytes(content)
    command = [sys.executable, "-P", "-m", "prx.plugins.compile_worker", source, target, "nofuel"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return (time.perf_counter() - began) * 1000


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


if __name__ == "__main__":
    main()
