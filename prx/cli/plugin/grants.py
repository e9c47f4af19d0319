"""`prx plugin grant`, `revoke` and `grants`: what plugins may do."""

from typing import Any

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, show_json
from prx.core.text import printable


@click.command()
@click.argument("name")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
@as_json_option
def grant(name: str, permissions: tuple[str, ...], *, as_json: bool) -> None:
    """Allow a plugin what its manifest asks for; its next call may use it."""
    _decide(name, dict.fromkeys(permissions, True), as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
@as_json_option
def revoke(name: str, permissions: tuple[str, ...], *, as_json: bool) -> None:
    """Take permissions back; without one that it requires a plugin is out of service."""
    _decide(name, dict.fromkeys(permissions, False), as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def grants(name: str, *, as_json: bool) -> None:
    """Show what a plugin asks for, may do and was refused."""
    with daemon() as client:
        found = client.get(f"/plugins/{segment(name)}/grants")
    if as_json:
        show_json(found)
    else:
        click.echo(grants_text(found))


def _decide(name: str, decisions: dict[str, bool], *, as_json: bool) -> None:
    with daemon() as client:
        found = client.request("PUT", f"/plugins/{segment(name)}/grants", {"decisions": decisions})
    if as_json:
        show_json(found)
    else:
        click.echo(f"{name} may use {', '.join(found['granted']) or 'nothing'}; it is {found['status']}.")


def grants_text(found: dict[str, Any]) -> str:
    """Return what `GET /plugins/:name/grants` answers, for people."""
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
    return "\n".join(map(printable, lines))
