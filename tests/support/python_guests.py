"""Guests written in Python, built into components when a test needs them; the build takes about ten seconds."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_GUESTS = Path(__file__).parent.parent / "components" / "guests"
_PRX_WIT = Path(__file__).parent.parent.parent / "prx" / "plugins" / "wit"
_WASI_WIT = _GUESTS.parent / "wasi_wit"
_BUILD = "import sys, componentize_py; sys.exit(componentize_py.script())"
_SAMPLES = Path(__file__).parent.parent.parent / "plugins"


@cache
def python_sample(name: str, world: str) -> bytes:
    """Return the component of the sample `plugins/<name>`, a `world` of those that PRX ships."""
    pytest.importorskip("componentize_py", reason="the extra build-kit is not installed")
    with TemporaryDirectory(prefix="prx-sample-") as scratch:
        target = Path(scratch) / "plugin.wasm"
        subprocess.run(
            [sys.executable, "-c", _BUILD, "-q", "-d", _PRX_WIT, "-w", world,
             "componentize", "-p", _SAMPLES / name, "app", "-o", target],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        return target.read_bytes()


@cache
def python_guest(name: str) -> bytes:
    """Return the component of `tests/components/guests/<name>`: `app.py` behind the world of `<name>.wit`."""
    pytest.importorskip("componentize_py", reason="the extra build-kit is not installed")
    with TemporaryDirectory(prefix="prx-guest-") as scratch:
        wit = Path(scratch) / "wit"
        shutil.copytree(_PRX_WIT, wit / "deps" / "prx-plugin", ignore=shutil.ignore_patterns("deps"))
        shutil.copytree(_PRX_WIT / "deps" / "prx-host", wit / "deps" / "prx-host")
        shutil.copytree(_WASI_WIT, wit / "deps", dirs_exist_ok=True)
        shutil.copy(_GUESTS / name / f"{name}.wit", wit)
        target = Path(scratch) / "plugin.wasm"
        subprocess.run(
            [sys.executable, "-c", _BUILD, "-q", "-d", wit, "-w", name,
             "componentize", "-p", _GUESTS / name, "app", "-o", target],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        return target.read_bytes()
