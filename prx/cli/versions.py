"""`prx plugin reload`, `versions` and `rollback`: which version of a plugin runs."""

import json
from typing import Any

import click

from prx.cli.client import daemon, segment


@click.command()
@click.argument("name")
def reload(name: str) -> None:
    """Load what lies in a plugin's directory, also what was rolled back before."""
    with daemon() as client:
        found = client.request("POST", f"/plugins/{segment(name)}/reload")
    click.echo(f"{name} {found['version']} is {found['status']}.")


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def versions(name: str, *, as_json: bool) -> None:
    """List the generations of a plugin that are kept, the newest first."""
    with daemon() as client:
        found = client.get(f"/plugins/{segment(name)}/versions")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for version in found["versions"]:
        click.echo(_line(version))


@click.command()
@click.argument("name")
@click.option("--to", type=click.IntRange(min=1), help="The generation; by default the one before.")
def rollback(name: str, *, to: int | None) -> None:
    """Step back to a kept generation, until the plugin's files change or it is reloaded."""
    body = {} if to is None else {"generation": to}
    with daemon() as client:
        found = client.request("POST", f"/plugins/{segment(name)}/rollback", body)
    click.echo(
        f"{name} is {found['status']} in generation {found['generation']}, version {found['version']}."
    )


def _line(version: dict[str, Any]) -> str:
    digest = version["digest"].removeprefix("sha256:")[:12]
    line = f"{version['generation']}  {version['version']}  {version['status']}  {version['loaded_at']}  {digest}"
    if "calls" in version:
        line += f"  {version['calls']} calls, {version['failures']} failed"
    return f"{line}  {version['reason']}" if "reason" in version else line
