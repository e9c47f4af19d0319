"""A plugin's tool called through `/mcp` on the wire, beside a Python echo in fastmcp and in the SDK's own server.

    python -m benchmarks.mcp_server [--rounds 9] [--window 2] [--scratch DIR]

PRX checks the token, its scope and the rate limit, which is set too high to refuse anybody, validates the arguments,
runs WebAssembly within its limits and answers with a receipt; the others call a Python function and check no token.
Both eras of the protocol: 2025-11-25, where a session is opened first, and 2026-07-28, where there is none.
"""

import argparse
import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.processes import Program, free_port
from benchmarks.programs import PrxHome, script
from benchmarks.references import MCP_SERVERS, environment, versions
from benchmarks.report import Report
from benchmarks.rounds import Measure, Series, alternate
from benchmarks.wrk import Request
from tests.components.corpus import component

_HIGH = 10_000_000
_CONNECTIONS = (1, 32)
_SESSION, _NEWEST = "2025-11-25", "2026-07-28"
_PRX, _FASTMCP, _SDK = "PRX", "fastmcp", "the SDK's own server"
_TARGET = 3.0
_ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_CLIENT = {"name": "benchmark", "version": "1"}

Key = tuple[str, str, int]


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=9, window_secs=2.0)
    report = Report("mcp_server", "A tool call through /mcp", str(__doc__).partition("\n")[0])
    programs = environment(options.scratch, "mcp", MCP_SERVERS)
    report.say(f"References: {versions(programs, MCP_SERVERS)}.\n")
    with TemporaryDirectory() as scratch:
        homes = Path(scratch)
        prx = PrxHome(homes / "prx", {"gateway.rate_limits.other": _HIGH})
        prx.add_components({"plugin": component("tool-echo")})
        prx.compile_all()
        peers = {kind: _peer(homes / kind, programs, kind) for kind in ("fastmcp", "sdk")}
        with prx.program.start() as ours, peers["fastmcp"].start() as fastmcp, peers["sdk"].start() as sdk:
            for server in (ours, fastmcp, sdk):
                server.secs_to_healthy()
            token = {"Authorization": f"Bearer {prx.token()}"}
            calls = {
                (_PRX, _SESSION): _in_session(prx.program.port, "plugin_tool_echo", token),
                (_PRX, _NEWEST): _newest(prx.program.port, "plugin_tool_echo", token),
                (_FASTMCP, _SESSION): _in_session(peers["fastmcp"].port, "echo", {}),
                (_FASTMCP, _NEWEST): _newest(peers["fastmcp"].port, "echo", {}),
                (_SDK, _SESSION): _in_session(peers["sdk"].port, "echo", {}),
                (_SDK, _NEWEST): _newest(peers["sdk"].port, "echo", {}),
            }
            for call in calls.values():
                _check(call)
            found = _loads(calls, homes, options)
    _tell(report, found)
    report.keep()


def _loads(
    calls: Mapping[tuple[str, str], Request], scratch: Path, options: argparse.Namespace
) -> dict[Key, tuple[Series, Series]]:
    """Return calls per second and the 99th percentile in ms, for each server, version and number of connections."""
    late: dict[Key, list[float]] = {}

    def measure(key: Key, call: Request) -> Measure:
        def run() -> float:
            load = call.load(scratch, connections=key[2], secs=round(options.window))
            if load.refused:
                raise RuntimeError(f"{key}: {load.refused} of {load.total} calls were refused")
            late.setdefault(key, []).append(load.p99_ms)
            return load.per_sec

        return run

    contenders = {
        (name, version, connections): measure((name, version, connections), call)
        for (name, version), call in calls.items()
        for connections in _CONNECTIONS
    }
    rates = alternate(contenders, options.rounds)
    return {key: (series, Series(tuple(late[key]))) for key, series in rates.items()}


def _tell(report: Report, found: Mapping[Key, tuple[Series, Series]]) -> None:
    for version in (_SESSION, _NEWEST):
        report.say(f"## {version}\n")
        rows = []
        for connections in _CONNECTIONS:
            ours = found[_PRX, version, connections][0]
            for name in (_PRX, _FASTMCP, _SDK):
                rate, late = found[name, version, connections]
                rows.append(
                    (
                        name,
                        str(connections),
                        f"{rate.median:,.0f}",
                        f"{min(rate.values):,.0f} to {max(rate.values):,.0f}",
                        f"{late.median:.1f}",
                        "" if name == _PRX else f"{ours.over(rate):.2f}",
                    )
                )
        columns = (
            "",
            "connections",
            "median, calls/s",
            "least to most",
            "p99, ms",
            "PRX makes times as many",
        )
        report.table(columns, rows)
        for connections in _CONNECTIONS:
            ratio = found[_PRX, version, connections][0].over(found[_FASTMCP, version, connections][0])
            report.at_least(f"{version}, {connections} at a time, over fastmcp", ratio, _TARGET)
        report.say("")


def _peer(home: Path, programs: Path, kind: str) -> Program:
    home.mkdir()
    port = free_port()
    return script("mcp_peer.py", (kind, str(port)), home, port, python=programs / "python")


def _in_session(port: int, tool: str, headers: Mapping[str, str]) -> Request:
    """Return a call in a session that is opened now. Each has an id of its own, as in every session."""
    params = {"protocolVersion": _SESSION, "capabilities": {}, "clientInfo": _CLIENT}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    session = _answer(port, hello, headers).getheader("Mcp-Session-Id")
    assert session is not None
    inside = {**_ACCEPT, **headers, "Mcp-Session-Id": session, "MCP-Protocol-Version": _SESSION}
    _answer(port, {"jsonrpc": "2.0", "method": "notifications/initialized"}, inside)
    call = {"name": tool, "arguments": {"text": "hello"}}
    return _request(port, inside, call)


def _newest(port: int, tool: str, headers: Mapping[str, str]) -> Request:
    meta = {
        "io.modelcontextprotocol/protocolVersion": _NEWEST,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": _CLIENT,
    }
    named = {"MCP-Protocol-Version": _NEWEST, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    call = {"name": tool, "arguments": {"text": "hello"}, "_meta": meta}
    return _request(port, {**_ACCEPT, **headers, **named}, call)


def _request(port: int, headers: Mapping[str, str], params: Mapping[str, object]) -> Request:
    body = json.dumps({"jsonrpc": "2.0", "id": 12345, "method": "tools/call", "params": params})
    return Request(f"http://127.0.0.1:{port}/mcp", headers, body, numbered='"id": 12345')


def _check(call: Request) -> None:
    """Make one call, and see that it is answered."""
    assert call.body is not None
    port = int(call.url.rpartition(":")[2].partition("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/mcp", call.body, dict(call.headers))
    answer = connection.getresponse().read()
    connection.close()
    assert b"hello" in answer, answer


def _answer(port: int, message: Mapping[str, object], headers: Mapping[str, str]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/mcp", json.dumps(message), {**_ACCEPT, **headers})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


if __name__ == "__main__":
    main()
