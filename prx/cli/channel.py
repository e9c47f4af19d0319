"""`prx channel`: the chat platforms that the daemon is connected to, and who may talk over them."""

from typing import Any

import click

from prx.cli.channel_setup import add, doctor, remove
from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, fields, moment, show_json, styled_status, table
from prx.core.errors import PrxError
from prx.core.text import printable

Answer = dict[str, Any]


@click.group()
def channel() -> None:
    """Look at channels, connect them, and let users in."""


@channel.command("list")
@as_json_option
def list_channels(*, as_json: bool) -> None:
    """List every configured channel, and whether it is connected."""
    with daemon() as client:
        found = client.get("/channels")
    if as_json:
        show_json(found)
    elif found["channels"]:
        click.echo(_table(found["channels"]))
    else:
        click.echo("No channels; [channels_config.NAME] in the configuration adds one.")


@channel.command()
@click.argument("name")
@as_json_option
def info(name: str, *, as_json: bool) -> None:
    """Show one channel, and what a round trip to its platform came to just now.

    With --json the channel's row of GET /channels, with GET /channels/NAME/health as `health`.
    """
    with daemon() as client:
        health = client.get(f"/channels/{segment(name)}/health")
        rows = {row["name"]: row for row in client.get("/channels")["channels"]}
    if name not in rows:
        raise PrxError(f'channel "{name}" was removed meanwhile')
    found = rows[name] | {"health": health}
    if as_json:
        show_json(found)
    else:
        click.echo(f"{printable(name)} is {styled_status(found['status'])}.\n{fields(_about(found))}")


@channel.command()
@click.argument("name")
@as_json_option
def restart(name: str, *, as_json: bool) -> None:
    """Connect a channel anew, in the background; `prx channel info NAME` tells what came of it."""
    with daemon() as client:
        found = client.request("POST", f"/channels/{segment(name)}/restart")
    if as_json:
        show_json(found)
    else:
        click.echo(f"{printable(name)} is {found['status']}.")


@channel.command()
@click.argument("code", required=False)
@as_json_option
def approve(code: str | None, *, as_json: bool) -> None:
    """Let in whoever was given CODE for /pair; without CODE list those who wait."""
    with daemon() as client:
        found = (
            client.get("/pairings") if code is None else client.request("POST", f"/pairings/{segment(code)}")
        )
    if as_json:
        show_json(found)
    elif code is not None:
        click.echo(f"{printable(found['sender'])} may talk over {printable(found['channel'])}.")
    elif found["pairings"]:
        rows = [
            (
                each["code"],
                each["channel"],
                each["sender"],
                each["sender_name"] or "-",
                moment(each["asked_at"]),
            )
            for each in found["pairings"]
        ]
        click.echo(table(("CODE", "CHANNEL", "USER", "NAME", "ASKED"), rows))
    else:
        click.echo("Nobody waits to be let in.")


for command in (add, remove, doctor):
    channel.add_command(command)


def _table(channels: list[Answer]) -> str:
    rows = [
        (
            row["name"],
            row["status"],
            moment(row["connected_at"]) if "connected_at" in row else "-",
            row.get("active_sessions", "-"),
        )
        for row in channels
    ]
    shown = table(("NAME", "STATUS", "CONNECTED", "SESSIONS"), rows, paint={"STATUS": styled_status})
    faults = [(row["name"], row["error"]) for row in channels if "error" in row]
    return f"{shown}\n\n{fields(faults)}" if faults else shown


def _about(found: Answer) -> list[tuple[str, object]]:
    health = found["health"]
    told: list[tuple[str, object]] = []
    if "connected_at" in found:
        told.append(("Connected", moment(found["connected_at"])))
    if "active_sessions" in found:
        told.append(("Sessions", f"{found['active_sessions']} active"))
    if "last_message_at" in health:
        told.append(("Last message", moment(health["last_message_at"])))
    if health["healthy"]:
        told.append(("Platform", f"answered within {health['latency_ms']} ms"))
    else:
        told.append(("Not healthy", health["error"]))
    return told
