"""`prx plugin validate`: what a plugin is, told without a daemon."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from prx.cli.context import load_config
from prx.cli.output import as_json_option, show_json
from prx.config.schema import Config
from prx.core.text import printable, printable_lines
from prx.plugins.errors import LoadError
from prx.plugins.report import report


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@as_json_option
def validate(path: Path, *, as_json: bool) -> None:
    """Say what a component exports, needs and would be granted.

    PATH is a .wasm or .prxplugin file, or a directory with a plugin.toml. It is loaded as the daemon would load it, in
    a sandbox of its own; no daemon needs to run. Exit code 1 when it would not load.
    """
    try:
        found = asyncio.run(_report(path.absolute(), load_config()))
    except LoadError as error:
        if as_json:
            show_json({"valid": False, "error": error.message})
        else:
            click.echo(f"{path}: {printable_lines(error.message)}", err=True)
        sys.exit(1)
    if as_json:
        show_json({"valid": not found["permissions"]["missing"], **found})
    else:
        click.echo(_text(found))
    if found["permissions"]["missing"]:
        sys.exit(1)


async def _report(path: Path, config: Config) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="prx-validate-") as scratch:
        return await report(path, config.plugins, config.daemon.data_dir, Path(scratch))


def _text(found: dict[str, Any]) -> str:
    lines = [f"{found['name']} {found['version']} ({found['kind']})", "", "Tools:"]
    for tool in found["tools"]:
        lines += [f"  {tool['name']}", *(f"      {line}" for line in tool["description"].split("\n"))]
    if not found["tools"]:
        lines.append("  none")
    for name, reason in found["skipped"].items():
        lines.append(f"  {name} is skipped: {reason}")
    if others := [name for name in found["capabilities"] if not name.startswith("tool:")]:
        lines += ["", "Other capabilities:", *(f"  {name}" for name in others)]
    lines += ["", "Imports:"]
    lines += [f"  {name}" for name in found["imports"]] or ["  nothing"]
    permissions = found["permissions"]
    lines += ["", "Permissions:"]
    for title in ("granted", "missing", "optional_not_granted"):
        if permissions[title]:
            lines.append(f"  {title.replace('_', ' ')}: {', '.join(permissions[title])}")
    for name, entries in permissions["entries"].items():
        lines.append(f"  {name}: {', '.join(entries)}")
    if permissions["missing"]:
        lines.append(
            "  It does not load without the missing ones: `prx plugin grant` gives them once it is installed."
        )
    if found["signature"] is not None:
        trusted = "trusted" if found["signature"]["trusted"] else "not trusted"
        lines += ["", "Signed by:", f"  {found['signature']['key']} ({trusted})"]
    limits = (f"{key} {value}" for key, value in found["limits"].items() if value is not None)
    lines += ["", "Limits:", f"  {', '.join(limits)}"]
    lines += [f"Warning: {warning}" for warning in found["warnings"]]
    return "\n".join(map(printable, lines))
