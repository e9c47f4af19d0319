"""`prx plugin versions` and `rollback`: which version of a plugin runs."""

from collections.abc import Sequence
from typing import Any

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, moment, show_json, table

_SHORT_DIGEST = 12


@click.command()
@click.argument("name")
@as_json_option
def versions(name: str, *, as_json: bool) -> None:
    """List the generations of a plugin that are kept, the newest first."""
    with daemon() as client:
        found = client.get(f"/plugins/{segment(name)}/versions")
    if as_json:
        show_json(found)
    elif found["versions"]:
        click.echo(versions_table(found["versions"]))
    else:
        click.echo(f"No version of {name} is kept.")


@click.command()
@click.argument("name")
@click.option("--to", type=click.IntRange(min=1), help="The generation; by default the one before.")
@as_json_option
def rollback(name: str, *, to: int | None, as_json: bool) -> None:
    """Step back to a kept generation, until the plugin's files change or it is reloaded."""
    body = {} if to is None else {"generation": to}
    with daemon() as client:
        found = client.request("POST", f"/plugins/{segment(name)}/rollback", body)
    if as_json:
        show_json(found)
    else:
        click.echo(
            f"{name} is {found['status']} in generation {found['generation']}, version {found['version']}."
        )


def versions_table(kept: Sequence[dict[str, Any]]) -> str:
    """Return what `GET /plugins/:name/versions` answers, for people."""
    headings = ("GENERATION", "VERSION", "STATUS", "LOADED", "DIGEST", "CALLS", "FAILED", "REASON")
    rows = [
        (
            version["generation"],
            version["version"],
            version["status"],
            moment(version["loaded_at"]),
            version["digest"].removeprefix("sha256:")[:_SHORT_DIGEST],
            version.get("calls", "-"),
            version.get("failures", "-"),
            version.get("reason", ""),
        )
        for version in kept
    ]
    return table(headings, rows)
