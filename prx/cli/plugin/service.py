"""`prx plugin reload`, `release`, `disable` and `enable`: whether a plugin serves."""

import click

from prx.cli.acts import have_done
from prx.cli.output import as_json_option


@click.command()
@click.argument("name")
@as_json_option
def reload(name: str, *, as_json: bool) -> None:
    """Load what lies in a plugin's directory, also what was rolled back before.

    Exit code 1 when it does not load: what ran before still runs.
    """
    have_done("plugins", name, "reload", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def release(name: str, *, as_json: bool) -> None:
    """End a plugin's quarantine: load it afresh and let calls through again."""
    have_done("plugins", name, "reload", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def disable(name: str, *, as_json: bool) -> None:
    """Take a plugin out of service until it is enabled, over restarts too; what it stored stays."""
    have_done("plugins", name, "disable", as_json=as_json)


@click.command()
@click.argument("name")
@as_json_option
def enable(name: str, *, as_json: bool) -> None:
    """Put a plugin back into service.

    Exit code 1 when it does not load; it is enabled all the same.
    """
    have_done("plugins", name, "enable", as_json=as_json)
