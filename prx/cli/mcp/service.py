"""`prx mcp reconnect`, `disable` and `enable`: whether a server is connected."""

import click

from prx.cli.acts import have_done
from prx.cli.output import as_json_option


@click.command()
@click.argument("name")
@as_json_option
def reconnect(name: str, *, as_json: bool) -> None:
    """Connect an MCP server anew, in the background; `prx mcp info NAME` tells what came of it."""
    have_done("mcp", name, "reconnect", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def disable(name: str, *, as_json: bool) -> None:
    """Disconnect an MCP server until it is enabled, over restarts too; its tools cannot be called meanwhile."""
    have_done("mcp", name, "disable", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def enable(name: str, *, as_json: bool) -> None:
    """Put an MCP server back into service; it connects in the background."""
    have_done("mcp", name, "enable", as_json=as_json)
