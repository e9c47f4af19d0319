"""`prx session`: what sessions there are, talking in them, and ending them."""

import json
import secrets
import sys
from functools import partial
from typing import Any, Final, get_args
from urllib.parse import urlencode

import click

from prx.cli.client import daemon, segment
from prx.cli.exit_codes import DaemonDownError, ExitCode
from prx.cli.output import as_json_option, fields, moment, page_options, show_json, styled_status, table
from prx.cli.turn_output import followed
from prx.core.session import SessionStatus
from prx.core.text import printable

_STDIN: Final = "-"


@click.group()
def session() -> None:
    """Look at sessions, talk in them, and end them."""


@session.command("list")
@click.option("--status", type=click.Choice(get_args(SessionStatus)), default="active", show_default=True)
@click.option("--channel", help="Only those of this channel.")
@page_options
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
@click.argument("message")
@as_json_option
def send(session_id: str, message: str, *, as_json: bool) -> None:
    """Say MESSAGE in a session and print the answer, on a terminal as it comes; "-" reads it from standard input.

    What the agent does meanwhile is told on standard error. Exit code 1 when there is no answer.
    """
    content = sys.stdin.read() if message == _STDIN else message
    # A key of its own: should the connection break, the turn is joined rather than begun again.
    key = {"Idempotency-Key": secrets.token_urlsafe(16)}
    path = f"/sessions/{segment(session_id)}/messages"
    with daemon() as client, client.answer_of(path, {"content": content}, key) as events:
        ended = followed(events, partial(_tell_how_to_approve, session_id), quiet=as_json)
    if ended is None:
        raise DaemonDownError("the daemon ended before the answer: send the message again")
    answer = ended.get("message", ended)
    if as_json and answer is not None:
        show_json(answer)
    if (error := ended.get("error")) is not None:
        click.echo(f"prx: no answer ({error['code']}): {printable(error['message'])}", err=True)
        sys.exit(ExitCode.FAILED)


@session.command()
@click.argument("session_id", metavar="ID")
@click.argument("approval_id", metavar="[APPROVAL]", required=False)
@click.option("--deny", is_flag=True, help="Do not allow it.")
@click.option("--reason", help="Why not, for the model to know.")
@as_json_option
def approve(
    session_id: str, approval_id: str | None, *, deny: bool, reason: str | None, as_json: bool
) -> None:
    """Allow a call of a tool that waits for it, or deny it; without APPROVAL list what waits."""
    path = f"/sessions/{segment(session_id)}/approvals"
    with daemon() as client:
        if approval_id is None:
            found = client.get(path)
        else:
            decision = {"approve": not deny} | ({} if reason is None else {"reason": reason})
            found = client.request("POST", f"{path}/{segment(approval_id)}", decision)
    if as_json:
        show_json(found)
    elif approval_id is not None:
        click.echo(f"{approval_id} is {'denied' if deny else 'approved'}.")
    elif found["approvals"]:
        rows = [
            (
                each["id"],
                each["call"]["name"],
                json.dumps(each["call"]["arguments"]),
                moment(each["expires_at"]),
            )
            for each in found["approvals"]
        ]
        click.echo(table(("ID", "TOOL", "ARGUMENTS", "DENIED AT"), rows))
    else:
        click.echo("Nothing waits for an approval.")


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


def _tell_how_to_approve(session_id: str, waiting: dict[str, Any]) -> None:
    """Say what allows a call that waits."""
    name, approval = waiting["call"]["name"], waiting["id"]
    click.echo(f"prx: {printable(name)} waits for: prx session approve {session_id} {approval}", err=True)


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
