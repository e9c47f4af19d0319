"""The guest that looks around, built from `tests/components/visitor` and installed under a manifest."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.plugin_host import PluginHost

NAME = "visitor"
_SOURCE = Path(__file__).parent.parent / "components" / "visitor"


def build(directory: Path) -> bytes:
    """Build it in `directory`, in some seconds; skip the test where the build kit is missing."""
    pytest.importorskip("componentize_py", reason="the extra build-kit is not installed")
    kit = "import sys, componentize_py; sys.exit(componentize_py.script())"
    out = directory / "visitor.wasm"
    command = [sys.executable, "-c", kit, "-q", "-d", str(_SOURCE), "-w", NAME, "componentize"]
    command += ["-p", str(_SOURCE), "app", "-o", str(out)]
    subprocess.run(command, check=True, timeout=120)
    return out.read_bytes()


def manifest(
    *,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    directories: Sequence[str] = (),
    variables: Sequence[str] = (),
    **resources: Any,
) -> str:
    """Return a manifest that asks for these."""
    lists = {
        "required": required, "optional": optional, "filesystem_allowlist": directories, "env_allowlist": variables,
    }  # fmt: skip
    tables = {"permissions": {key: list(value) for key, value in lists.items()}, "resources": resources}
    text = f'[plugin]\nname = "{NAME}"\nversion = "1.0.0"\n'
    for table, keys in tables.items():
        text += f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return text


class Visitor:
    """The installed guest."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host

    async def did(self, tool: str, **arguments: str) -> Any:
        """Have it do something that must succeed; return what it gives."""
        return await self._host.output(tool, arguments)

    async def failed(self, tool: str, **arguments: str) -> str:
        """Have it do something that must fail; return what it says."""
        result = await self._host.call(tool, arguments)
        assert result.error is not None, result.output
        assert result.error.code == "tool_error", result.error
        return result.error.message

    async def variables(self) -> dict[str, str]:
        """Return the variables that it finds."""
        return dict(await self.did("variables"))
