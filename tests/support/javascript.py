"""A real JavaScript component with `fetch`, built from npm at most once for each state of its sources."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.locks import one_at_a_time

_ROOT = Path(__file__).parents[2]
_SOURCES = _ROOT / "tests/components/javascript"
_DEPS = (_ROOT / "tests/components/wasi_wit", _ROOT / "prx/plugins/wit/deps")
_TOOLS = ("node", "npm")


def javascript_guest(cache: Path) -> bytes:
    """Return the component of `tests/components/javascript`; `cache` keeps it, and the tools from npm."""
    inputs = sorted(path for root in (_SOURCES, *_DEPS) for path in root.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()
    built = cache / f"{digest[:16]}.wasm"
    with one_at_a_time(cache / "javascript.lock"):
        if not built.exists():
            _build(cache / "build", built)
    return built.read_bytes()


def _build(directory: Path, built: Path) -> None:
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"{' and '.join(missing)} not found, so no JavaScript guest runs: apt install nodejs npm")
    shutil.copytree(_SOURCES, directory, dirs_exist_ok=True)
    for deps in _DEPS:
        shutil.copytree(deps, directory / "wit/deps", dirs_exist_ok=True)
    shutil.copy(_SOURCES / "world.wit", directory / "wit")
    _run(directory, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
    _run(directory, "node", "build.mjs", "guest.wasm")
    (directory / "guest.wasm").replace(built)


def _run(directory: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
