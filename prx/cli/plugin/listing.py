"""`prx plugin list`: every plugin at a glance."""

from typing import Any

import click

from prx.cli.client import daemon
from prx.cli.output import as_json_option, fields, show_json, size, styled_status, table


@click.command("list")
@as_json_option
def list_plugins(*, as_json: bool) -> None:
    """List every plugin with its version, status, memory and what it brings, good or bad."""
    with daemon() as client:
        found = client.get("/plugins")
    if as_json:
        show_json(found)
    elif found["plugins"]:
        click.echo(_text(found["plugins"]))
    else:
        click.echo("No plugins; `prx plugin install FILE` installs one.")


def _text(plugins: list[dict[str, Any]]) -> str:
    rows = [
        (
            plugin["name"],
            plugin["version"],
            plugin["status"],
            size(plugin["memory_usage_bytes"]),
            " ".join(plugin["capabilities"]),
        )
        for plugin in plugins
    ]
    shown = table(
        ("NAME", "VERSION", "STATUS", "MEMORY", "CAPABILITIES"), rows, paint={"STATUS": styled_status}
    )
    faults = [(plugin["name"], plugin["error"]) for plugin in plugins if "error" in plugin]
    return f"{shown}\n\n{fields(faults)}" if faults else shown
