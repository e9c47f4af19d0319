"""`prx mcp list` and `info`: every MCP server at a glance, and one in full."""

from collections.abc import Iterator
from typing import Any

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, fields, moment, show_json, styled_status, table
from prx.core.text import printable

Answer = dict[str, Any]


@click.command("list")
@as_json_option
def list_servers(*, as_json: bool) -> None:
    """List every configured MCP server, whether it is connected, and how many tools it brings."""
    with daemon() as client:
        found = client.get("/mcp")
    if as_json:
        show_json(found)
    elif found["servers"]:
        click.echo(_table(found["servers"]))
    else:
        click.echo("No MCP servers; [mcp.servers.NAME] in the configuration adds one.")


@click.command()
@click.argument("name")
@as_json_option
def info(name: str, *, as_json: bool) -> None:
    """Show one MCP server in full: how it is connected, what it says of itself, and which of its tools are offered."""
    with daemon() as client:
        found = client.get(f"/mcp/{segment(name)}")
    if as_json:
        show_json(found)
    else:
        click.echo("\n\n".join(_sections(found)))


def _table(servers: list[Answer]) -> str:
    rows = [
        (
            server["name"],
            server["transport"],
            server["status"],
            moment(server["connected_at"]) if "connected_at" in server else "-",
            len(server["tools"]),
        )
        for server in servers
    ]
    shown = table(
        ("NAME", "TRANSPORT", "STATUS", "CONNECTED", "TOOLS"), rows, paint={"STATUS": styled_status}
    )
    faults = [(server["name"], server["error"]) for server in servers if "error" in server]
    return f"{shown}\n\n{fields(faults)}" if faults else shown


def _sections(found: Answer) -> Iterator[str]:
    yield f"{printable(found['name'])} is {styled_status(found['status'])}.\n{fields(list(_about(found)))}"
    if found["offered"]:
        yield f"Tools\n{table(('TOOL', 'CALLED AS'), list(found['offered'].items()))}"
    if found["skipped"]:
        yield f"Not offered\n{fields(list(found['skipped'].items()))}"


def _about(found: Answer) -> Iterator[tuple[str, object]]:
    if "error" in found:
        yield "Error", found["error"]
    yield "Transport", found["transport"]
    for key, title in (("command", "Command"), ("url", "URL"), ("pid", "Process")):
        if key in found:
            yield title, found[key]
    if not found["enabled"]:
        yield "Enabled", "not by the configuration"
    if "connected_at" in found:
        yield "Connected", moment(found["connected_at"])
    if "server" in found:
        yield "Server", " ".join(str(found["server"][key]) for key in ("name", "version"))
    if "protocol_version" in found:
        yield "Protocol", found["protocol_version"]
        yield "Capabilities", " ".join(sorted(found["capabilities"])) or "none"
    yield "Restarts", found["restarts"]
    if "instructions" in found:
        yield "Instructions", found["instructions"]
