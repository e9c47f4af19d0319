"""`prx mcp login` and `logout`: logins to servers that ask for OAuth. Only a login loads the SDK."""

import asyncio
from contextlib import suppress

import click

from prx.cli.client import daemon, segment
from prx.cli.context import load_config, used_data_dir
from prx.cli.exit_codes import DaemonDownError
from prx.core.errors import NotFoundError, PrxError
from prx.core.text import printable
from prx.mcp.client.logins import LoginStore


@click.command()
@click.argument("name")
def login(name: str) -> None:
    """Log in to an MCP server that asks for OAuth, with a browser on this machine.

    Prints the address to open and waits up to five minutes. A daemon that runs connects at once.
    """
    server = load_config().mcp.servers.get(name)
    if server is None:
        raise NotFoundError(f'no MCP server "{name}" is configured: `prx mcp list` shows those that are')
    if server.url is None:
        raise PrxError(f'the MCP server "{name}" is a program of this machine: it asks for no login')
    # Half a second that no other command pays.
    from prx.mcp.client.authorize import log_in  # noqa: PLC0415

    found = asyncio.run(log_in(server.url, server.oauth, _show))
    LoginStore(used_data_dir()).set(name, server.url, found)
    click.echo(f"Logged in to {printable(name)}.")
    with suppress(DaemonDownError), daemon() as client:
        client.request("POST", f"/mcp/{segment(name)}/reconnect")


@click.command()
@click.argument("name")
def logout(name: str) -> None:
    """Forget the login to an MCP server; a connection that is open stays open until its token ends."""
    LoginStore(used_data_dir()).remove(name)
    click.echo(f"Forgot the login to {printable(name)}.")


def _show(address: str) -> None:
    click.echo(f"Open this address in a browser:\n\n  {printable(address)}\n")
