"""What a command has the daemon do to a plugin or an MCP server, and what became of it."""

import sys

import click

from prx.cli.client import daemon, segment
from prx.cli.exit_codes import ExitCode
from prx.cli.output import show_json, status_sentence
from prx.core.text import printable, printable_lines


def have_done(collection: str, name: str, act: str, *, as_json: bool) -> None:
    """Have `act` done to `name` of the API's `collection` and show its status; exit with 1 if it tells an error."""
    with daemon() as client:
        found = client.request("POST", f"/{collection}/{segment(name)}/{act}")
    fault = found.get("error")
    if as_json:
        show_json(found)
    else:
        click.echo(status_sentence(printable(name), found.get("version"), found["status"]))
        if fault is not None:
            click.echo(f"prx: {printable_lines(fault)}", err=True)
    if fault is not None:
        sys.exit(ExitCode.FAILED)
