"""`prx plugin install` and `remove`: a plugin's files, while the daemon runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from prx.cli.client import daemon, segment
from prx.cli.context import used_data_dir
from prx.cli.output import as_json_option, show_json
from prx.config.keys import parse_key
from prx.config.origins import DEFAULT
from prx.core.text import printable_lines
from prx.plugins.secrets import SecretStore


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
@click.option("--purge", is_flag=True, help="Delete what it stored and its own secrets, too.")
@as_json_option
def remove(name: str, *, purge: bool, as_json: bool) -> None:
    """Remove a plugin's files, and what was granted to and decided about it.

    Says what is left for the next plugin of this name: secrets that are kept for it, and settings in the configuration.
    """
    with daemon() as client:
        client.request("DELETE", f"/plugins/{segment(name)}{'?purge=true' if purge else ''}")
        settings = _settings_of(name, client.get("/config/origins")["keys"])
    secrets = [secret.name for secret in SecretStore(used_data_dir()).all() if name in secret.plugins]
    if as_json:
        show_json({"name": name, "purged": purge, "secrets_left": secrets, "settings_left": settings})
        return
    click.echo(f"Removed {name}{' and what it stored' if purge else '; what it stored is kept'}.")
    for secret in secrets:
        click.echo(f"A secret is kept for it: `prx secret remove {secret}` deletes it.")
    for key, place in settings.items():
        click.echo(f"A setting is kept for it: {key} in {place}.")


def _settings_of(name: str, origins: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of a plugin that somebody made, each with the place where it stands."""
    above = ("plugins", "settings", name)
    return {
        key: row["origin"]
        for key, row in origins.items()
        if parse_key(key)[: len(above)] == above and row["origin"] != DEFAULT
    }
