"""`prx plugin install` and `remove`: a plugin's files, while the daemon runs."""

from pathlib import Path

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, show_json
from prx.core.text import printable_lines


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json_option
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
        show_json(found)
        return
    click.echo(f"Installed {found['name']} {found['version']}; it is {found['status']}.")
    if "error" in found:
        click.echo(printable_lines(found["error"]))


@click.command()
@click.argument("name")
@click.option("--purge", is_flag=True, help="Delete what it stored, too.")
@as_json_option
def remove(name: str, *, purge: bool, as_json: bool) -> None:
    """Remove a plugin's files, and what was granted to and decided about it."""
    with daemon() as client:
        client.request("DELETE", f"/plugins/{segment(name)}{'?purge=true' if purge else ''}")
    if as_json:
        show_json({"name": name, "purged": purge})
    else:
        click.echo(f"Removed {name}{' and what it stored' if purge else '; what it stored is kept'}.")
