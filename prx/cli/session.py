"""`prx session`: what sessions there are, and ending them."""

import json
from typing import Any, Final, get_args
from urllib.parse import urlencode

import click

from prx.cli.client import daemon, segment
from prx.cli.output import as_json_option, fields, moment, show_json, styled_status, table
from prx.core.session import SessionStatus

_MAX_LISTED: Final = 500


@click.group()
def session() -> None:
    """Look at sessions, and end them."""


@session.command("list")
@click.option("--status", type=click.Choice(get_args(SessionStatus)), default="active", show_default=True)
@click.option("--channel", help="Only those of this channel.")
@click.option(
    "--limit", type=click.IntRange(1, _MAX_LISTED), default=50, show_default=True, help="How many at most."
)
@click.option(
    "--offset",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many of the newest to leave out.",
)
@as_json_option
def list_sessions(
    *, status: SessionStatus, channel: str | None, limit: int, offset: int, as_json: bool
) -> None:
    """List the sessions of one status, the newest first."""
    asked = {"status": status, "limit": limit, "offset": offset} | (
        {} if channel is None else {"channel": channel}
    )
    with daemon() as client:
        found = client.get(f"/sessions?{urlencode(asked)}")
    if as_json:
        show_json(found)
    elif found["sessions"]:
        click.echo(_listed(found["sessions"], found["total"], offset))
    elif found["total"]:
        click.echo(f"There are no more than {found['total']}.")
    else:
        click.echo(f"No {status} sessions.")


@session.command()
@click.argument("session_id", metavar="ID")
@as_json_option
def info(session_id: str, *, as_json: bool) -> None:
    """Show one session in full."""
    with daemon() as client:
        found = client.get(f"/sessions/{segment(session_id)}")
    if as_json:
        show_json(found)
    else:
        click.echo(_described(found))


@session.command()
@click.argument("session_id", metavar="ID")
@as_json_option
def end(session_id: str, *, as_json: bool) -> None:
    """End a session for good.

    Exit code 1 when it is terminated already.
    """
    with daemon() as client:
        client.request("DELETE", f"/sessions/{segment(session_id)}")
    if as_json:
        show_json({"id": session_id, "status": "terminated"})
    else:
        click.echo(f"{session_id} is terminated.")


def _listed(sessions: list[dict[str, Any]], total: int, offset: int) -> str:
    rows = [
        (
            session["id"],
            session["channel"],
            session["user_id"],
            session["status"],
            moment(session["created_at"]),
            moment(session["last_activity"]),
        )
        for session in sessions
    ]
    shown = table(
        ("ID", "CHANNEL", "USER", "STATUS", "CREATED", "LAST ACTIVITY"), rows, paint={"STATUS": styled_status}
    )
    last = offset + len(sessions)
    return shown if last >= total else f"{shown}\n\n{total - last} more: --offset {last}"


def _described(found: dict[str, Any]) -> str:
    tokens = found["token_usage"]
    return fields(
        [
            ("Session", found["id"]),
            ("Channel", found["channel"]),
            ("User", found["user_id"]),
            ("Status", found["status"]),
            ("Created", moment(found["created_at"])),
            ("Last activity", moment(found["last_activity"])),
            ("Turns", found["turn_count"]),
            ("Tokens", f"{tokens['input']} in, {tokens['output']} out"),
            ("Metadata", json.dumps(found["metadata"], ensure_ascii=False)),
        ]
    )
