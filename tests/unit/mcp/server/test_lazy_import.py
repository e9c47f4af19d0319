"""A daemon that nobody asks for MCP pays nothing for it."""

import subprocess
import sys

LOAD = (
    "import sys, prx.daemon.process, prx.cli.daemon; print(*sorted(m for m in sys.modules if '.' not in m))"
)


def test_a_daemon_starts_without_the_sdk() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "prx" in loaded
    assert not loaded & {"mcp", "mcp_types", "starlette", "sse_starlette", "httpx2", "anyio"}
