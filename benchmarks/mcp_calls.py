"""A tool called over streamable HTTP in both eras of MCP: 2025-11-25, in a session, and 2026-07-28, without one."""

import argparse
import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import Server
from benchmarks.report import Report
from benchmarks.rounds import Measure, Series, alternate
from benchmarks.wrk import Request

SESSION, NEWEST = "2025-11-25", "2026-07-28"
CONNECTIONS = (1, 32)
_ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_CLIENT = {"name": "benchmark", "version": "1"}
_ASK_SECS = 30.0

Key = tuple[str, str, int]
"""The server's name in the report, the version of the protocol, and how many connections."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A running server with a tool that gives a text back."""

    server: Server
    tool: str
    arguments: Mapping[str, str]
    headers: Mapping[str, str]

    def calls(self) -> dict[str, Request]:
        """Return the call in each version, made once to see that it is answered; the session is opened now."""
        made = {SESSION: self._in_session(), NEWEST: self._newest()}
        for call in made.values():
            assert call.body is not None
            _, answer = self._post(call.body, call.headers)
            assert next(iter(self.arguments.values())).encode() in answer, answer
        return made

    def _in_session(self) -> Request:
        params = {"protocolVersion": SESSION, "capabilities": {}, "clientInfo": _CLIENT}
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        opened, _ = self._post(json.dumps(hello), {**_ACCEPT, **self.headers})
        session = opened.getheader("Mcp-Session-Id")
        assert session is not None
        inside = {**_ACCEPT, **self.headers, "Mcp-Session-Id": session, "MCP-Protocol-Version": SESSION}
        self._post(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}), inside)
        return self._request(inside, {})

    def _newest(self) -> Request:
        meta = {
            "io.modelcontextprotocol/protocolVersion": NEWEST,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": _CLIENT,
        }
        named = {"MCP-Protocol-Version": NEWEST, "Mcp-Method": "tools/call", "Mcp-Name": self.tool}
        return self._request({**_ACCEPT, **self.headers, **named}, {"_meta": meta})

    def _request(self, headers: Mapping[str, str], more: Mapping[str, Any]) -> Request:
        """Return the call. Each has an id of its own, as in every session."""
        params = {"name": self.tool, "arguments": self.arguments, **more}
        body = json.dumps({"jsonrpc": "2.0", "id": 12345, "method": "tools/call", "params": params})
        return Request(
            f"http://127.0.0.1:{self.server.program.port}/mcp", headers, body, numbered='"id": 12345'
        )

    def _post(self, body: str, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.program.port, timeout=_ASK_SECS)
        connection.request("POST", "/mcp", body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content


@dataclass(frozen=True, slots=True)
class Found:
    """What one server made of one kind of call over one number of connections, round by round."""

    per_sec: Series
    p99_ms: Series
    own_ms: Series
    """Processor time of the server's process for each call."""
    children_ms: Series
    """That of the processes that it started."""


def measured(servers: Mapping[str, Echo], scratch: Path, options: argparse.Namespace) -> dict[Key, Found]:
    """Call every server by its name in the report, in both versions and over each number of connections."""
    beside: dict[Key, list[tuple[float, float, float]]] = {}

    def measure(key: Key, server: Server, call: Request) -> Measure:
        def run() -> float:
            own, tree = server.own_cpu_secs(), server.cpu_secs()
            load = call.load(scratch, connections=key[2], secs=round(options.window))
            own, tree = server.own_cpu_secs() - own, server.cpu_secs() - tree
            if load.refused:
                raise RuntimeError(f"{key}: {load.refused} of {load.total} calls were refused")
            each_ms = 1000 / load.total
            # A tick may have come between the two readings.
            children = max(tree - own, 0.0)
            beside.setdefault(key, []).append((load.p99_ms, own * each_ms, children * each_ms))
            return load.per_sec

        return run

    contenders = {
        (name, version, connections): measure((name, version, connections), echo.server, call)
        for name, echo in servers.items()
        for version, call in echo.calls().items()
        for connections in CONNECTIONS
    }
    rates = alternate(contenders, options.rounds)
    return {key: Found(rate, *map(Series, zip(*beside[key], strict=True))) for key, rate in rates.items()}


def tell(
    report: Report, found: Mapping[Key, Found], names: Sequence[str], targets: Mapping[str, float]
) -> None:
    """Report the first of `names` beside the others, and whether it makes as many times their calls as `targets`."""
    columns = (
        "",
        "connections",
        "median, calls/s",
        "least to most",
        "p99, ms",
        "processor time, ms a call",
        "of its children",
        f"{names[0]} makes times as many",
    )
    for version in (SESSION, NEWEST):
        report.say(f"## {version}\n")
        rows = [
            _row(found, (name, version, connections), names[0])
            for connections in CONNECTIONS
            for name in names
        ]
        report.table(columns, rows)
        for connections in CONNECTIONS:
            ratio = _ratios(found, (names[0], version, connections))
            for name, least in targets.items():
                report.at_least(f"{version}, {connections} at a time, over {name}", ratio(name), least)
        report.say("")


def _row(found: Mapping[Key, Found], key: Key, ours: str) -> tuple[str, ...]:
    name, version, connections = key
    it = found[key]
    rates = it.per_sec.values
    return (
        name,
        str(connections),
        f"{it.per_sec.median:,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{it.p99_ms.median:.1f}",
        f"{it.own_ms.median:.2f}",
        f"{it.children_ms.median:.2f}",
        "" if name == ours else f"{_ratios(found, (ours, version, connections))(name):.2f}",
    )


def _ratios(found: Mapping[Key, Found], ours: Key) -> Callable[[str], float]:
    """Return how many times as many calls per second `ours` makes as the server of a name."""
    _, version, connections = ours
    return lambda name: found[ours].per_sec.over(found[name, version, connections].per_sec)
