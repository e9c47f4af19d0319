"""A plugin's tool called through `/mcp` on the wire, beside a Python echo in fastmcp and in the SDK's own server.

    python -m benchmarks.mcp_server [--rounds 9] [--window 2] [--scratch DIR]

PRX checks the token, its scope and the rate limit, which is set too high to refuse anybody, validates the arguments,
runs WebAssembly within its limits and answers with a receipt; the others call a Python function and check no token.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.mcp_calls import Echo, measured, tell
from benchmarks.options import server_options
from benchmarks.processes import Program, free_port
from benchmarks.programs import PrxHome, script
from benchmarks.references import MCP_SERVERS, environment, versions
from benchmarks.report import Report
from tests.components.corpus import component

_HIGH = 10_000_000
_PRX, _FASTMCP, _SDK = "PRX", "fastmcp", "the SDK's own server"
_TARGET = 3.0
_TEXT = {"text": "hello"}


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
            servers = {
                _PRX: Echo(ours, "plugin_tool_echo", _TEXT, token),
                _FASTMCP: Echo(fastmcp, "echo", _TEXT, {}),
                _SDK: Echo(sdk, "echo", _TEXT, {}),
            }
            found = measured(servers, homes, options)
    tell(report, found, list(servers), {_FASTMCP: _TARGET})
    report.keep()


def _peer(home: Path, programs: Path, kind: str) -> Program:
    home.mkdir()
    port = free_port()
    return script("mcp_peer.py", (kind, str(port)), home, port, python=programs / "python")


if __name__ == "__main__":
    main()
