"""`prx mcp reconnect`, `disable` and `enable`: whether a server is connected."""

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, show_json, status_sentence
from prx.core.text import printable


@click.command()
@click.argument("name")
@as_json_option
def reconnect(name: str, *, as_json: bool) -> None:
    """Connect an MCP server anew, in the background; `prx mcp info NAME` tells what came of it."""
    _ask(name, "reconnect", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def disable(name: str, *, as_json: bool) -> None:
    """Disconnect an MCP server until it is enabled, over restarts too; its tools cannot be called meanwhile."""
    _ask(name, "disable", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def enable(name: str, *, as_json: bool) -> None:
    """Put an MCP server back into service; it connects in the background."""
    _ask(name, "enable", as_json=as_json)


def _ask(name: str, act: str, *, as_json: bool) -> None:
    with daemon() as client:
        found = client.request("POST", f"/mcp/{segment(name)}/{act}")
    if as_json:
        show_json(found)
    else:
        click.echo(status_sentence(printable(name), None, found["status"]))
