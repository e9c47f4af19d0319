"""How a log line looks: one line of JSON, or a readable one whose colours depend on the terminal."""

import json
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, plain_traceback
from structlog.processors import JSONRenderer

from prx.core.text import printable

Event = MutableMapping[str, Any]
Render = Callable[[Event], str]

_LEVEL_COLOURS: Final = {
    "trace": "\x1b[2m",
    "debug": "\x1b[36m",
    "info": "\x1b[32m",
    "warn": "\x1b[33m",
    "error": "\x1b[31;1m",
}


def json_lines() -> Render:
    """Return what renders an event of plain values as one line of JSON."""
    renderer = JSONRenderer(serializer=json.dumps)

    def render(event: Event) -> str:
        return str(renderer(None, "", event))

    return render


def readable_lines(*, colours: bool) -> Render:
    """Return what renders an event for people; control characters are escaped, a traceback stands below."""
    dim, plain = ("\x1b[2m", "\x1b[0m") if colours else ("", "")

    def level(key: str, value: object) -> str:  # noqa: ARG001  # structlog names its arguments
        colour = _LEVEL_COLOURS.get(str(value), "") if colours else ""
        return f"{colour}{value:5}{plain}"

    def column(style: str = "", width: int = 0) -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(None, style, plain, printable, width)

    renderer = ConsoleRenderer(
        columns=[
            Column("", KeyValueColumnFormatter(dim, "", plain, _context_value)),
            Column("timestamp", column(dim)),
            Column("level", level),
            Column("module", column(dim, width=20)),
            Column("message", column()),
        ],
        exception_formatter=plain_traceback,
        sort_keys=False,
    )

    def render(event: Event) -> str:
        if isinstance(trace := event.get("exception"), str):
            event["exception"] = "\n".join(map(printable, trace.splitlines()))
        return str(renderer(None, "", event))

    return render


def _context_value(value: object) -> str:
    text = printable(value if isinstance(value, str) else repr(value))
    return repr(text) if isinstance(value, str) and (not text or " " in text) else text
