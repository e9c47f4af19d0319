"""`prx mcp`: the MCP servers that the daemon is connected to, and the daemon as one."""

import click

from prx.cli.lazy import LazyGroup

_COMMANDS = {
    "call": "prx.cli.mcp.tools:call",
    "disable": "prx.cli.mcp.service:disable",
    "enable": "prx.cli.mcp.service:enable",
    "info": "prx.cli.mcp.listing:info",
    "list": "prx.cli.mcp.listing:list_servers",
    "login": "prx.cli.mcp.login:login",
    "logout": "prx.cli.mcp.login:logout",
    "reconnect": "prx.cli.mcp.service:reconnect",
    "serve": "prx.cli.mcp.serve:serve",
    "tools": "prx.cli.mcp.tools:tools",
}


@click.group(cls=LazyGroup, targets=_COMMANDS)
def mcp() -> None:
    """Look at MCP servers, call their tools, and connect them anew."""
