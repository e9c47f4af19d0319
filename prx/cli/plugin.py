"""`prx plugin`: for plugin authors and operators."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from prx.cli.client import daemon, segment
from prx.cli.context import load_config
from prx.cli.package import keygen, pack, sign, verify
from prx.cli.versions import reload, rollback, versions
from prx.config.schema import Config
from prx.plugins.errors import LoadError
from prx.plugins.report import report


@click.group()
def plugin() -> None:
    """Look at plugins and decide what they may do."""


for command in (pack, keygen, sign, verify, reload, versions, rollback):
    plugin.add_command(command)


@plugin.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def validate(path: Path, *, as_json: bool) -> None:
    """Say what a component exports, needs and would be granted.

    PATH is a .wasm or .prxplugin file, or a directory with a plugin.toml. It is loaded as the daemon would load it, in
    a sandbox of its own; no daemon needs to run. Exit code 1 when it would not load.
    """
    try:
        found = asyncio.run(_report(path.absolute(), load_config()))
    except LoadError as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "error": error.message}, indent=2))
        else:
            click.echo(f"{path}: {error.message}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"valid": not found["permissions"]["missing"], **found}, indent=2))
    else:
        click.echo(_text(found))
    if found["permissions"]["missing"]:
        sys.exit(1)


@plugin.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def install(file: Path, *, as_json: bool) -> None:
    """Install a plugin, or replace it by another version, while the daemon runs.

    FILE is a .prxplugin or .wasm file; a .wasm.sig beside the latter goes with it. It is checked before it is put in
    place, and what ran before serves until the new version does.
    """
    beside = file.with_name(f"{file.name}.sig")
    with daemon() as client:
        found = client.upload(
            "/plugins", [file, beside] if file.suffix == ".wasm" and beside.exists() else [file]
        )
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"Installed {found['name']} {found['version']}; it is {found['status']}.")
    if "error" in found:
        click.echo(found["error"])


@plugin.command()
@click.argument("name")
@click.option("--purge", is_flag=True, help="Delete what it stored, too.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def remove(name: str, *, purge: bool, as_json: bool) -> None:
    """Remove a plugin's files, and what was granted to and decided about it."""
    with daemon() as client:
        client.request("DELETE", f"/plugins/{segment(name)}{'?purge=true' if purge else ''}")
    if as_json:
        click.echo(json.dumps({"name": name, "purged": purge}, indent=2))
    else:
        click.echo(f"Removed {name}{' and what it stored' if purge else '; what it stored is kept'}.")


@plugin.command()
@click.argument("name")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
def grant(name: str, permissions: tuple[str, ...]) -> None:
    """Allow a plugin what its manifest asks for; its next call may use it."""
    _decide(name, dict.fromkeys(permissions, True))


@plugin.command()
@click.argument("name")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
def revoke(name: str, permissions: tuple[str, ...]) -> None:
    """Take permissions back; without one that it requires a plugin is out of service."""
    _decide(name, dict.fromkeys(permissions, False))


@plugin.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def grants(name: str, *, as_json: bool) -> None:
    """Show what a plugin asks for, may do and was refused."""
    with daemon() as client:
        found = client.get(f"/plugins/{segment(name)}/grants")
    click.echo(json.dumps(found, indent=2) if as_json else _grants_text(found))


@plugin.command()
@click.argument("name")
def release(name: str) -> None:
    """End a plugin's quarantine: load it afresh and let calls through again."""
    with daemon() as client:
        found = client.request("POST", f"/plugins/{segment(name)}/reload")
    click.echo(f"{name} is {found['status']}.")


def _decide(name: str, decisions: dict[str, bool]) -> None:
    with daemon() as client:
        found = client.request("PUT", f"/plugins/{segment(name)}/grants", {"decisions": decisions})
    click.echo(f"{name} may use {', '.join(found['granted']) or 'nothing'}; it is {found['status']}.")


def _grants_text(found: dict[str, Any]) -> str:
    lines = [
        f"{title}: {', '.join(found[key]) or 'nothing'}"
        for title, key in (("Requires", "required"), ("Would like", "optional"), ("May use", "granted"))
    ]
    lines += [f"{name} covers: {', '.join(entries)}" for name, entries in found["covered"].items()]
    for name, entries in found["waiting"].items():
        lines.append(f"Not granted: {name}" + (f" for {', '.join(entries)}" if entries else ""))
    if found["waiting"]:
        lines.append(f"Grant all of it with: {found['allow_with']}")
    for denial in found["denials"]:
        times = "once" if denial["count"] == 1 else f"{denial['count']} times"
        lines.append(f"Refused {denial['operation']} {times}, last {denial['last']}: {denial['allow_with']}")
    return "\n".join(lines)


async def _report(path: Path, config: Config) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="prx-validate-") as scratch:
        return await report(path, config.plugins, config.daemon.data_dir, Path(scratch))


def _text(found: dict[str, Any]) -> str:
    lines = [f"{found['name']} {found['version']} ({found['kind']})", "", "Tools:"]
    for tool in found["tools"]:
        lines += [f"  {tool['name']}", f"      {tool['description']}"]
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
    return "\n".join(lines)
