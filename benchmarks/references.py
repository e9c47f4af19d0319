"""Where the programs come from that PRX is compared with: installed with pip into environments of their own, once."""

import subprocess
import venv
from pathlib import Path

EXTISM = ("extism", "fastapi", "uvicorn", "uvloop", "httptools")
"""The Extism SDK, and what serves it over HTTP."""

MCP_SERVERS = ("fastmcp", "mcp", "uvicorn", "uvloop", "httptools")
"""What one writes an MCP server with in Python, and what serves it over HTTP."""


def environment(scratch: Path, name: str, packages: tuple[str, ...]) -> Path:
    """Return where the programs of `packages` are, installed into `scratch` under `name` if they are not there."""
    home = scratch / name
    done = home / "installed"
    if not done.exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "-q", *packages], check=True)
        done.touch()
    return home / "bin"


def versions(programs: Path, packages: tuple[str, ...]) -> str:
    """Return the installed versions of `packages`, for a report."""
    ask = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {packages!r}))"
    answer = subprocess.run([programs / "python", "-c", ask], capture_output=True, check=True, text=True)
    return answer.stdout.strip()
