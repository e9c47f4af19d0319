"""Where the programs come from that PRX is compared with: installed with pip or npm into places of their own, once."""

import json
import subprocess
import venv
from pathlib import Path

EXTISM = ("extism", "fastapi", "uvicorn", "uvloop", "httptools")
"""The Extism SDK, and what serves it over HTTP."""

MCP_SERVERS = ("fastmcp", "mcp", "uvicorn", "uvloop", "httptools")
"""What one writes an MCP server with in Python, and what serves it over HTTP."""

MCP_PROXY = ("mcp-proxy", "@modelcontextprotocol/server-everything", "node@22")
"""A proxy for MCP servers from npm, a server for it, and what runs both."""


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


def modules(scratch: Path, name: str, packages: tuple[str, ...]) -> Path:
    """Return where the modules of npm's `packages` are, installed into `scratch` under `name` if they are not there."""
    home = scratch / name
    done = home / "installed"
    if not done.exists():
        home.mkdir(exist_ok=True)
        quiet = ("--no-audit", "--no-fund", "--loglevel=error")
        subprocess.run(["npm", "install", *quiet, "--prefix", ".", *packages], cwd=home, check=True)
        done.touch()
    return home / "node_modules"


def module_versions(installed: Path, packages: tuple[str, ...]) -> str:
    """Return the installed versions of npm's `packages`, for a report."""
    # An `@` in front is part of the name, one further on comes before the version that was wanted.
    names = [package[0] + package[1:].partition("@")[0] for package in packages]
    about = {name: (installed / name / "package.json").read_text(encoding="utf-8") for name in names}
    return ", ".join(f"{name} {json.loads(text)['version']}" for name, text in about.items())
