"""The WIT files that PRX ships are what a plugin author's build kit can read, as they lie in the package."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

_WIT = Path(str(files("prx.plugins") / "wit"))
_IMPORTS = {
    "tool": {"log", "config", "kv", "http_outbound", "memory", "events"},
    "middleware": {"log", "config", "kv", "events"},
    "hook": {"log", "config", "kv", "events"},
    "cron": {"log", "config", "kv", "events"},
    "provider": {"log", "config", "http_outbound", "events"},
    "storage": {"log", "config", "http_outbound", "events"},
    "base-plugin": {"log", "config", "kv"},
    "prx:plugin/channel@0.2.0": {"log", "config", "kv", "http_outbound", "events"},
}


def _modules(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("world", _IMPORTS)
def test_bindings_for_each_world_offer_its_interfaces(world: str, tmp_path: Path) -> None:
    pytest.importorskip("componentize_py", reason="the extra build-kit is not installed")
    kit = "import sys, componentize_py; sys.exit(componentize_py.script())"
    command = [sys.executable, "-c", kit, "-q", "-d", str(_WIT), "-w", world, "bindings", str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    name = world.removeprefix("prx:plugin/").partition("@")[0]
    exported = set() if world == "base-plugin" else {f"{name}_exports"}
    assert _modules(tmp_path / "wit_world/imports") == _IMPORTS[world]
    assert _modules(tmp_path / "wit_world/exports") == exported
