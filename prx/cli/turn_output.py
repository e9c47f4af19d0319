"""How a turn is shown while it goes on: the answer on standard output, what the agent does on standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from prx.cli.sse import ServerSentEvent
from prx.core.text import printable, printable_lines

Ask = Callable[[dict[str, Any]], None]
"""Decides about a call that waits for an approval, given the event's data."""


def followed(events: Iterator[ServerSentEvent], ask: Ask, *, quiet: bool) -> dict[str, Any] | None:
    """Show a turn as it goes on; return how it ended, None where that was not told."""
    in_line = False
    for event in events:
        if event.name != "token" and in_line:
            in_line = False
            click.echo()
        if event.name in ("done", "error"):
            return event.data  # type: ignore[no-any-return]  # a JSON object
        if quiet:
            continue
        if event.name == "token":
            in_line = True
            text = event.data["text"]
            click.echo(printable_lines(text) if sys.stdout.isatty() else text, nl=False)
            sys.stdout.flush()
        elif event.name == "tool_call":
            arguments = json.dumps(event.data["arguments"], ensure_ascii=False)
            click.echo(f"prx: {event.data['name']} {printable(arguments)}", err=True)
        elif event.name == "approval":
            ask(event.data)
        elif event.data["error"] is not None:
            failed = f"{event.data['name']} failed: {event.data['error']['message']}"
            click.echo(f"prx: {printable(failed)}", err=True)
    return None
