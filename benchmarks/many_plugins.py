"""A daemon with 500 plugins beside one with 10: boot, memory, the list, calls, and what it burns while nobody calls.

    python -m benchmarks.many_plugins [--rounds 7] [--plugins 500] [--window 30]

Every plugin is a small component with bytes of its own, half of them bare files and half with a manifest, and all are
found compiled in the cache. Memory is weighed once nobody has called for a while, with the machine code of the plugins
apart: it lies in files that are mapped.
"""

import argparse
import http.client
import json
import time
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import Server
from benchmarks.programs import PrxHome, home_of_many
from benchmarks.report import Report
from benchmarks.rounds import Measure, Series, alternate

_FEW = 10
_SETTLE_SECS = 40.0
_CALLS = 200


def main() -> None:
    """Measure and keep the report."""
    options = _options()
    report = Report("many_plugins", "Many plugins", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        few, many = (home_of_many(Path(scratch) / str(number), number) for number in (_FEW, options.plugins))
        boots = alternate({"few": _boot(few), "many": _boot(many)}, options.rounds)
        with few.program.start() as one, many.program.start() as other:
            one.secs_to_healthy()
            other.secs_to_healthy()
            asked = _ask_both(few, many, options)
            time.sleep(_SETTLE_SECS)
            memory = {number: server.memory() for number, server in ((_FEW, one), (options.plugins, other))}
            code = {number: _code(server) for number, server in ((_FEW, one), (options.plugins, other))}
            idle = _idle(one, options.window), _idle(other, options.window)
    added = options.plugins - _FEW
    report.table(
        ("", f"{_FEW} plugins", f"{options.plugins} plugins", "ratio"),
        [
            _row("boot to healthy, s", boots["few"], boots["many"], 2),
            *(
                _row(f"{what}, ms", asked[f"few, {what}"], asked[f"many, {what}"], 2)
                for what in (
                    "a call of one plugin",
                    "a call of each in turn",
                    "the list of plugins",
                    "the list of tools",
                )
            ),
        ],
    )
    report.table(
        ("", f"{_FEW} plugins", f"{options.plugins} plugins", "each"),
        [
            (name, f"{small:.1f}", f"{large:.1f}", f"{(large - small) / added:.3f}")
            for name, small, large in (
                ("memory (PSS), MiB", memory[_FEW].pss, memory[options.plugins].pss),
                ("of it machine code, MiB", code[_FEW], code[options.plugins]),
            )
        ],
    )
    report.say(f"Processor time while nobody calls: {idle[0]:.2f} % and {idle[1]:.2f} % of one core.\n")
    beyond = (memory[options.plugins].pss - code[options.plugins]) - (memory[_FEW].pss - code[_FEW])
    report.target(f"boot with {options.plugins} plugins", boots["many"].median, 3, " s")
    report.target("memory for each plugin, beyond its code", beyond / added, 0.15, " MiB")
    for what in ("a call of one plugin", "a call of each in turn"):
        report.target(
            f"{what}, over the same with {_FEW}", asked[f"many, {what}"].over(asked[f"few, {what}"]), 1.1
        )
    for what in ("the list of plugins", "the list of tools"):
        report.target(what, asked[f"many, {what}"].median, 50, " ms")
    report.keep()


def _row(name: str, few: Series, many: Series, digits: int) -> tuple[str, ...]:
    return name, f"{few.median:.{digits}f}", f"{many.median:.{digits}f}", f"{many.over(few):.2f}"


def _boot(home: PrxHome) -> Measure:
    def measure() -> float:
        with home.program.start() as server:
            return server.secs_to_healthy()

    return measure


def _ask_both(few: PrxHome, many: PrxHome, options: argparse.Namespace) -> dict[str, Series]:
    """Time requests to both daemons, which run beside each other, in turn."""
    contenders: dict[str, Measure] = {}
    clients = []
    for name, home, number in (("few", few, _FEW), ("many", many, options.plugins)):
        client = _Client(home)
        clients.append(client)
        calls = [f"tools/plugin_{each}_tool_echo/call" for each in range(number)]
        contenders |= {
            f"{name}, a call of one plugin": client.each(calls[:1], _CALLS),
            f"{name}, a call of each in turn": client.each(calls, _CALLS),
            f"{name}, the list of plugins": client.each(["plugins"], 5),
            f"{name}, the list of tools": client.each(["tools"], 5),
        }
    found = alternate(contenders, options.rounds)
    for client in clients:
        client.close()
    return found


class _Client:
    def __init__(self, home: PrxHome) -> None:
        self._headers = {"Authorization": f"Bearer {home.token()}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", home.program.port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def each(self, paths: list[str], times: int) -> Measure:
        """Return a measure of one request in ms, the next paths in turn, averaged over some."""
        turns = cycle(paths)

        def measure() -> float:
            began = time.perf_counter()
            for _ in range(times):
                self._ask(next(turns))
            return (time.perf_counter() - began) / times * 1000

        return measure

    def _ask(self, path: str) -> None:
        body = json.dumps({"arguments": {"text": "hello"}}) if path.endswith("/call") else None
        self._connection.request("POST" if body else "GET", f"/api/v1/{path}", body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")


def _code(server: Server) -> float:
    """Return the MiB of machine code that are resident, each shared page counted in part."""
    total, of_code = 0, False
    for line in Path(f"/proc/{server.tree()[0]}/smaps").read_text(encoding="utf-8").splitlines():
        key, *rest = line.split()
        if not key.endswith(":"):
            of_code = line.endswith((".cwasm", ".cwasm (deleted)"))
        elif of_code and key == "Pss:":
            total += int(rest[0])
    return total / 1024


def _idle(server: Server, window_secs: float) -> float:
    cpu, began = server.cpu_secs(), time.monotonic()
    time.sleep(window_secs)
    return (server.cpu_secs() - cpu) / (time.monotonic() - began) * 100


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plugins", type=int, default=500)
    parser.add_argument("--window", type=float, default=30.0, help="seconds to watch for")
    return parser.parse_args()


if __name__ == "__main__":
    main()
