"""A tool of an npm MCP server called through PRX, beside the same through a fastmcp proxy and through npm's mcp-proxy.

    python -m benchmarks.mcp_proxy [--rounds 9] [--window 2] [--scratch DIR]

Each has a process of `@modelcontextprotocol/server-everything` of its own over stdio. PRX checks the token, its scope
and the rate limit, which is set too high to refuse anybody, and validates the arguments; the others check no token.
fastmcp is there twice: as its `create_proxy` makes a proxy, and over one session that is kept, which is quicker and
fit for one client alone.
"""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.mcp_calls import Echo, measured, tell
from benchmarks.options import server_options
from benchmarks.processes import Program, free_port
from benchmarks.programs import PrxHome, foreign, script
from benchmarks.references import (
    MCP_PROXY,
    MCP_SERVERS,
    environment,
    module_versions,
    modules,
    versions,
)
from benchmarks.report import Report

_HIGH = 10_000_000
_PRX, _FASTMCP, _KEPT, _NPM = "PRX", "fastmcp", "fastmcp, one session", "mcp-proxy"
_TARGETS = {_FASTMCP: 2.0, _KEPT: 2.0, _NPM: 1.0}
_MESSAGE = {"message": "hello"}
_CONNECT_SECS = 30.0
_LOOK_SECS = 0.2


def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=9, window_secs=2.0)
    report = Report(
        "mcp_proxy", "A tool call through /mcp to a server over stdio", str(__doc__).partition("\n")[0]
    )
    programs = environment(options.scratch, "mcp", MCP_SERVERS)
    npm = modules(options.scratch, "mcp-npm", MCP_PROXY)
    report.say(f"References: {versions(programs, MCP_SERVERS)}; {module_versions(npm, MCP_PROXY)}.\n")
    command = _everything(npm)
    with TemporaryDirectory() as scratch:
        homes = Path(scratch)
        prx = _prx(homes / "prx", command)
        peers = (
            _fastmcp(homes / "fastmcp", programs, "fastmcp-proxy", command),
            _fastmcp(homes / "kept", programs, "fastmcp-kept-proxy", command),
            _mcp_proxy(homes / "npm", npm, command),
        )
        with (
            prx.program.start() as ours,
            peers[0].start() as fastmcp,
            peers[1].start() as kept,
            peers[2].start() as proxy,
        ):
            for server in (ours, fastmcp, kept, proxy):
                server.secs_to_healthy()
            _wait_until_connected(prx)
            token = {"Authorization": f"Bearer {prx.token()}"}
            servers = {
                _PRX: Echo(ours, "mcp__everything__echo", _MESSAGE, token),
                _FASTMCP: Echo(fastmcp, "echo", _MESSAGE, {}),
                _KEPT: Echo(kept, "echo", _MESSAGE, {}),
                _NPM: Echo(proxy, "echo", _MESSAGE, {}),
            }
            found = measured(servers, homes, options)
    tell(report, found, list(servers), _TARGETS)
    report.keep()


def _everything(npm: Path) -> tuple[str, ...]:
    script = npm / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    return str(npm / ".bin" / "node"), str(script), "stdio"


def _prx(home: Path, command: tuple[str, ...]) -> PrxHome:
    settings = {
        "gateway.rate_limits.other": _HIGH,
        "mcp.servers.everything.command": command[0],
        "mcp.servers.everything.args": json.dumps(command[1:]),
    }
    return PrxHome(home, settings)


def _wait_until_connected(prx: PrxHome) -> None:
    deadline = time.monotonic() + _CONNECT_SECS
    while (server := prx.ask("mcp/everything"))["status"] != "connected":
        if time.monotonic() > deadline:
            raise RuntimeError(f"PRX is not connected: {server}")
        time.sleep(_LOOK_SECS)


def _fastmcp(home: Path, programs: Path, kind: str, command: tuple[str, ...]) -> Program:
    home.mkdir()
    port = free_port()
    return script("mcp_peer.py", (kind, str(port), *command), home, port, python=programs / "python")


def _mcp_proxy(home: Path, npm: Path, command: tuple[str, ...]) -> Program:
    home.mkdir()
    port = free_port()
    main = npm / "mcp-proxy" / "dist" / "bin" / "mcp-proxy.mjs"
    arguments = ("--server", "stream", "--host", "127.0.0.1", "--port", str(port), "--", *command)
    return foreign((str(npm / ".bin" / "node"), str(main), *arguments), home, port, "/ping")


if __name__ == "__main__":
    main()
