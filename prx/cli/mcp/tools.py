"""`prx mcp tools` and `call`: what a server brings, by the names that the server itself gives."""

from typing import Any

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, fields, show_json, table
from prx.cli.plugin.call import Arguments, show_call
from prx.core.errors import NotFoundError, UnavailableError
from prx.core.text import printable


@click.command()
@click.argument("name")
@as_json_option
def tools(name: str, *, as_json: bool) -> None:
    """List the tools of an MCP server: its own names, what they are called here, and why others are not offered.

    With --json the rows of `prx tools --json` that are this server's, with its own name as `tool`.
    """
    with daemon() as client:
        found = client.get(f"/mcp/{segment(name)}")
        specs = {spec["name"]: spec for spec in client.get("/tools")["tools"]}
    rows = [{"tool": own} | specs[name] for own, name in found["offered"].items() if name in specs]
    if as_json:
        show_json({"tools": rows, "skipped": found["skipped"]})
        return
    if rows:
        cells = [(row["tool"], row["name"], row["description"].strip().partition("\n")[0]) for row in rows]
        click.echo(table(("TOOL", "CALLED AS", "DESCRIPTION"), cells))
    else:
        click.echo(f"{printable(name)} is {found['status']} and offers no tools.")
    if found["skipped"]:
        click.echo(f"\nNot offered\n{fields(list(found['skipped'].items()))}")


@click.command()
@click.argument("name")
@click.argument("tool")
@click.argument("arguments", metavar="[JSON]", type=Arguments(), default="{}")
@as_json_option
def call(name: str, tool: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    """Call a tool of an MCP server by the server's own name for it, and print its output.

    JSON is the object of its arguments; "-" reads it from standard input. Output and exit codes are those of
    `prx plugin call`.
    """
    with daemon() as client:
        server = client.get(f"/mcp/{segment(name)}")
        offered = server["offered"]
        if tool not in offered and server["status"] != "connected":
            raise UnavailableError(
                f'MCP server "{name}" is {server["status"]}, so that "{tool}" cannot be called; `prx mcp info {name}` '
                "tells more"
            )
        if tool not in offered:
            raise NotFoundError(
                f'MCP server "{name}" has no tool "{tool}"; `prx mcp tools {name}` lists them'
            )
        show_call(client, offered[tool], arguments, as_json=as_json)
