"""`prx plugin reload`, `release`, `disable` and `enable`: whether a plugin serves."""

import sys

import click

from prx.cli.client import daemon, segment
from prx.cli.exit_codes import ExitCode
from prx.cli.output import as_json_option, show_json, status_sentence
from prx.core.text import printable_lines


@click.command()
@click.argument("name")
@as_json_option
def reload(name: str, *, as_json: bool) -> None:
    """Load what lies in a plugin's directory, also what was rolled back before.

    Exit code 1 when it does not load: what ran before still runs.
    """
    _ask(name, "reload", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def release(name: str, *, as_json: bool) -> None:
    """End a plugin's quarantine: load it afresh and let calls through again."""
    _ask(name, "reload", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def disable(name: str, *, as_json: bool) -> None:
    """Take a plugin out of service until it is enabled, over restarts too; what it stored stays."""
    _ask(name, "disable", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def enable(name: str, *, as_json: bool) -> None:
    """Put a plugin back into service.

    Exit code 1 when it does not load; it is enabled all the same.
    """
    _ask(name, "enable", as_json=as_json)


def _ask(name: str, act: str, *, as_json: bool) -> None:
    with daemon() as client:
        found = client.request("POST", f"/plugins/{segment(name)}/{act}")
    fault = found.get("error")
    if as_json:
        show_json(found)
    else:
        click.echo(status_sentence(name, found.get("version"), found["status"]))
        if fault is not None:
            click.echo(f"prx: {printable_lines(fault)}", err=True)
    if fault is not None:
        sys.exit(ExitCode.FAILED)
