"""`prx tools`: everything that can be called now."""

import click

from prx.cli.client import daemon
from prx.cli.output import as_json_option, show_json, table


@click.command()
@as_json_option
def tools(*, as_json: bool) -> None:
    """List every tool that can be called now; `prx plugin call TOOL` calls one.

    With --json also the JSON Schema of its arguments.
    """
    with daemon() as client:
        found = client.get("/tools")
    if as_json:
        show_json(found)
    elif found["tools"]:
        rows = [
            (tool["name"], tool["source"], tool["description"].strip().partition("\n")[0])
            for tool in found["tools"]
        ]
        click.echo(table(("NAME", "SOURCE", "DESCRIPTION"), rows))
    else:
        click.echo("No tools; `prx plugin list` shows the plugins.")
