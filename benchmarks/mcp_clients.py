"""What connected MCP servers cost the daemon: at rest, and for each call over stdio beside the SDK's own client.

    python -m benchmarks.mcp_clients [--rounds 5] [--window 30] [--calls 2000] [--clients 32]

The servers are the scripted one of the tests, which answers at once; their own memory and time are not counted.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from mcp import Client, StdioServerParameters

from benchmarks.options import server_options
from benchmarks.report import Report
from benchmarks.rounds import Series
from tests.support.mcp_host import SCRIPT, McpHost, mcp_host, scripted

_MANY = 50
_TEXT = {"text": "hello"}
_OURS = "through the router"
_SDK = "the SDK's client"

Call = Callable[[], Awaitable[object]]


async def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=5, window_secs=30.0, calls=2000, clients=32)
    report = Report("mcp_clients", "Connected MCP servers", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as home:
        await _at_rest(report, Path(home), options.window)
    with TemporaryDirectory() as home:
        await _calls(report, Path(home), options.rounds, options.calls, options.clients)
    report.keep()


async def _at_rest(report: Report, home: Path, window_secs: float) -> None:
    servers = {"one": scripted()}
    async with mcp_host(home, servers) as host:
        await host.until("connected")
        before = _resident_kib()
        servers |= {f"server{number}": scripted() for number in range(_MANY)}
        host.servers.reconfigured()
        for name in servers:
            await host.until("connected", name, within_secs=120)
        each = (_resident_kib() - before) / _MANY
        busy, began = time.process_time(), time.monotonic()
        await asyncio.sleep(window_secs)
        percent = (time.process_time() - busy) / (time.monotonic() - began) * 100
    report.say(f"## At rest, {_MANY} servers with 18 tools each\n")
    report.target("memory for each server and its tools", each, 100, " KiB")
    report.target("processor time for all", percent, 1, " %")


async def _calls(report: Report, home: Path, rounds: int, calls: int, clients: int) -> None:
    command = StdioServerParameters(command=sys.executable, args=["-S", str(SCRIPT)])
    async with mcp_host(home, {"one": scripted()}) as host, Client(command, mode="legacy") as client:
        await host.until("connected")
        ways: dict[str, Call] = {
            _OURS: _call_of(host),
            _SDK: lambda: client.call_tool("echo", _TEXT),
        }
        for at_once in (1, clients):
            found: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, call in ways.items():
                    found[name].append(await _per_sec(call, calls, at_once))
            report.say(f"## Calls per second, {at_once} at once\n")
            report.compare({name: Series(tuple(rates)) for name, rates in found.items()}, _SDK, "calls/s", 0)


def _call_of(host: McpHost) -> Call:
    return lambda: host.call("mcp__one__echo", _TEXT)


async def _per_sec(call: Call, calls: int, at_once: int) -> float:
    async def caller() -> None:
        for _ in range(calls // at_once):
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return calls // at_once * at_once / (time.perf_counter() - began)


def _resident_kib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


if __name__ == "__main__":
    uvloop.run(main())
