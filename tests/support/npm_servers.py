"""Real MCP servers from npm, installed at most once for each state of their lock file."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.locks import one_at_a_time

_SOURCES = Path(__file__).parents[1] / "components/mcp/npm"
_TOOLS = ("node", "npm")


def npm_servers(cache: Path) -> Path:
    """Return the directory of installed modules; `cache` keeps it."""
    lock = (_SOURCES / "package-lock.json").read_bytes()
    installed = cache / f"mcp-{hashlib.sha256(lock).hexdigest()[:16]}"
    with one_at_a_time(cache / "mcp.lock"):
        if not installed.exists():
            _install(cache / "mcp-unfinished", installed)
    return installed / "node_modules"


def _install(unfinished: Path, installed: Path) -> None:
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        pytest.skip(
            f"{' and '.join(missing)} not found, so no MCP server of npm runs: apt install nodejs npm"
        )
    shutil.copytree(_SOURCES, unfinished, dirs_exist_ok=True)
    command = ("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
    done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    unfinished.replace(installed)
