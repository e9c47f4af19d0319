"""`prx mcp login` and `logout`: who the daemon is at MCP servers that ask for OAuth."""

import asyncio
import os
import shlex
import sys
import webbrowser
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from prx.cli.client import RefusedError, daemon, segment
from prx.cli.context import load_config, used_data_dir
from prx.cli.durations import Duration
from prx.cli.exit_codes import DaemonDownError
from prx.config.integrations import McpServerConfig
from prx.config.keys import dotted
from prx.core.errors import BadRequestError, NotFoundError
from prx.core.text import printable
from prx.mcp.client.oauth.logins import LoginFile, has_own_authorization

if TYPE_CHECKING:
    from prx.mcp.client.oauth.logins import Login


@click.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="Ask for this as well; may be given several times.")
@click.option("--no-browser", is_flag=True, help="Only print the address, and open no browser.")
@click.option(
    "--wait", type=Duration(), default="5m", show_default=True, help="How long to wait for the browser."
)
def login(name: str, scopes: tuple[str, ...], *, no_browser: bool, wait: timedelta) -> None:
    """Log in to an MCP server: prints an address to open in a browser on this machine, and waits for its answer."""
    config = _server(name)
    made = asyncio.run(_log_in(config, scopes, opens_browser=not no_browser, within=wait))
    LoginFile(used_data_dir()).put(name, made)
    granted = f", with the scopes {printable(made.tokens.scope)}" if made.tokens.scope else ""
    click.echo(f'Logged in to "{name}"{granted}.')
    _tell_daemon(name, "It connects now; `prx mcp info {name}` tells what came of it.")


@click.command()
@click.argument("name")
def logout(name: str) -> None:
    """Forget the login at an MCP server, and have its authorization server forget it."""
    try:
        forgotten = LoginFile(used_data_dir()).remove(name)
    except NotFoundError:
        _server(name)  # may know why there cannot be one
        raise
    if forgotten is None:
        click.echo(
            f'Forgot the login at "{name}". It could not be read, so that its authorization server knows nothing of it.'
        )
    else:
        click.echo(_logged_out(name, forgotten))
    _tell_daemon(name, "The daemon's connection ends now.")


def _logged_out(name: str, forgotten: "Login") -> str:
    from prx.mcp.client.oauth.interactive import log_out  # noqa: PLC0415  # loads the SDK, half a second

    if asyncio.run(log_out(forgotten)):
        return f'Logged out of "{name}"; its authorization server has forgotten the login, too.'
    return f'Logged out of "{name}". Its authorization server may take the tokens until they end.'


def _server(name: str) -> McpServerConfig:
    """Return a server that a user can log in to.

    Raises:
        NotFoundError: there is none of this name.
        BadRequestError: it takes no login.
    """
    servers = load_config().mcp.servers
    if name not in servers:
        there = ", ".join(sorted(servers)) or "none"
        raise NotFoundError(f'MCP server "{name}" not found; configured are: {there}')
    config, table = servers[name], dotted(("mcp", "servers", name))
    if config.url is None:
        raise BadRequestError(f'MCP server "{name}" is a program: there is no login at one')
    if has_own_authorization(config):
        raise BadRequestError(
            f"{table} has the authorization that is sent, in headers or url, and no login: remove it to log in instead"
        )
    if config.oauth.grant == "client_credentials":
        raise BadRequestError(f'{table}.oauth.grant is "client_credentials": the daemon logs in by itself')
    return config


async def _log_in(
    config: McpServerConfig, scopes: tuple[str, ...], *, opens_browser: bool, within: timedelta
) -> "Login":
    from prx.cli.mcp.callback import listening  # noqa: PLC0415  # loads the server side of HTTP
    from prx.mcp.client.oauth.interactive import log_in  # noqa: PLC0415  # loads the SDK, half a second

    async with listening(config.oauth.redirect_port) as callback:

        async def ask(url: str, state: str) -> Mapping[str, str]:
            callback.expect(state)
            click.echo(f"Open this address in a browser on this machine:\n\n{printable(url)}\n")
            if opens_browser and _has_display():
                await asyncio.to_thread(webbrowser.open, url)
            click.echo(f"Waiting for its answer at {callback.redirect_uri} ...", err=True)
            return await callback.wait(within.total_seconds())

        return await log_in(config, callback.redirect_uri, scopes, ask)


def _has_display() -> bool:
    """Tell whether a browser has somewhere to open: on a bare terminal it would take that over."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _tell_daemon(name: str, done: str) -> None:
    """Have the daemon connect as whom the login says now, and say what else to do where it cannot."""
    try:
        with daemon() as client:
            client.request("POST", f"/mcp/{segment(name)}/reconnect")
    except (DaemonDownError, RefusedError) as error:
        click.echo(f"The daemon was not told: {error.message}", err=True)
    else:
        click.echo(done.format(name=shlex.quote(name)))
