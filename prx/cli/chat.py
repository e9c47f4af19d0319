"""`prx chat`: talking with the agent from a terminal, or from a pipe."""

import os
import readline
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import Any, Final

import click

from prx.cli.client import Client, RefusedError, daemon, segment
from prx.cli.context import used_data_dir
from prx.cli.exit_codes import DaemonDownError, ExitCode
from prx.cli.output import as_json_option, show_json
from prx.cli.turn_output import followed
from prx.core.errors import PrxError
from prx.core.text import printable, well_formed

_CHANNEL: Final = "cli"
_PROMPT: Final = "> "
_MORE: Final = "… "
_MAX_HISTORY: Final = 1000
_HELP: Final = """\
/new      begins another conversation
/session  tells which one this is
/help     shows this
/quit     ends the chat, as Ctrl-D does
Ctrl-C ends an answer that is being made. A line that ends with a backslash goes on with the next.
Everything else goes to the agent."""


@click.command()
@click.argument("message", nargs=-1)
@click.option("--session", "session_id", metavar="ID", help="Go on in this session.")
@as_json_option
def chat(message: tuple[str, ...], session_id: str | None, *, as_json: bool) -> None:
    """Talk with the agent: MESSAGE and its answer, or as long as you like.

    Without MESSAGE a terminal is asked for one after the other; from a pipe, all of standard input is one. Exit code 1
    when there is no answer.
    """
    talk = _Talk(session_id, as_json=as_json)
    if not message and sys.stdin.isatty():
        with _history(used_data_dir() / "chat_history"):
            talk.go_on()
    elif not talk.say(" ".join(message) if message else sys.stdin.read()):
        sys.exit(ExitCode.FAILED)


class _Talk:
    """One user's side of it."""

    def __init__(self, session_id: str | None, *, as_json: bool) -> None:
        self._session_id = session_id
        self._as_json = as_json

    def go_on(self) -> None:
        """Ask for messages and have each answered, until the user ends it."""
        click.echo("prx: /help tells what there is; Ctrl-D ends the chat", err=True)
        while (text := _read()) is not None:
            match text.strip():
                case "":
                    continue
                case "/quit":
                    return
                case "/help":
                    click.echo(_HELP)
                case "/new":
                    self._session_id = None
                    click.echo("This is a new conversation.")
                case "/session":
                    click.echo(self._session_id or "None yet: your next message begins one.")
                case _:
                    try:
                        self.say(text)
                    except PrxError as error:
                        click.echo(f"prx: {printable(error.message)}", err=True)

    def say(self, text: str) -> bool:
        """Say something and show the answer; tell whether there was one."""
        text = well_formed(text)  # bytes that are not UTF-8 are no text, and no JSON
        # Each time with a token of its own: a chat outlasts one.
        with daemon() as client:
            try:
                ended = self._asked(client, text)
            except RefusedError as error:
                if error.why != "conflict" or not sys.stdin.isatty():
                    raise
                click.echo(f"prx: {printable(error.message)}; going on in a new one", err=True)
                self._session_id = None
                ended = self._asked(client, text)
        if ended is None:
            raise DaemonDownError("the daemon ended before the answer: send the message again")
        answer = ended.get("message", ended)
        if self._as_json and answer is not None:
            show_json(answer)
        failure = ended.get("error")
        if failure is not None:
            click.echo(f"prx: no answer ({failure['code']}): {printable(failure['message'])}", err=True)
        return failure is None

    def _asked(self, client: Client, text: str) -> dict[str, Any] | None:
        session_id = self._session(client)
        path = f"/sessions/{segment(session_id)}"
        # A key of its own: should the connection break, the turn is joined rather than begun again.
        key = {"Idempotency-Key": secrets.token_urlsafe(16)}
        while True:
            try:
                with client.answer_of(f"{path}/messages", {"content": text}, key) as events:
                    return followed(events, partial(self._decide, client, session_id), quiet=self._as_json)
            except KeyboardInterrupt:
                click.echo(err=True)
                if client.request("POST", f"{path}/cancel")["cancelled"]:
                    return {"error": {"code": "cancelled", "message": "stopped"}}
                # It had ended already: asked for once more, by its key, for how.

    def _session(self, client: Client) -> str:
        if self._session_id is None:
            asked = {"channel": _CHANNEL, "user_id": getuser()}
            self._session_id = str(client.request("POST", "/sessions", asked)["id"])
        return self._session_id

    def _decide(self, client: Client, session_id: str, waiting: dict[str, Any]) -> None:
        """Ask the user about a call that waits for an approval, where there is somebody to ask."""
        name, path = waiting["call"]["name"], f"/sessions/{segment(session_id)}/approvals/{waiting['id']}"
        if not sys.stdin.isatty():
            click.echo(
                f"prx: {printable(name)} waits for: prx session approve {session_id} {waiting['id']}",
                err=True,
            )
            return
        try:
            approve = click.confirm(f"prx: may {printable(name)} be called?", err=True)
        except click.Abort:
            raise KeyboardInterrupt from None
        try:
            client.request("POST", path, {"approve": approve})
        except RefusedError as error:  # its time is over, or somebody else decided
            click.echo(f"prx: {printable(error.message)}", err=True)


def _read() -> str | None:
    """Return what the user writes, lines that go on joined; None at the end of it all."""
    lines: list[str] = []
    try:
        while True:
            line = input(_MORE if lines else _PROMPT)
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])
    except EOFError:
        click.echo()
        return None
    except KeyboardInterrupt:
        click.echo()
        return ""


@contextmanager
def _history(path: Path) -> Iterator[None]:
    """Have the lines of earlier chats at hand for the length of the block, in a file of the user's own."""
    with suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_history_length(_MAX_HISTORY)
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(path)
