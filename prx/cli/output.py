"""How answers look: JSON for programs; for people plain columns that fit the terminal, and colours there alone."""

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from prx.core.text import printable

as_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")

Command = TypeVar("Command", bound=Callable[..., None])

_MAX_LISTED: Final = 500
_GAP: Final = "  "
_NARROWEST: Final = 8
_UNITS: Final = ("B", "KiB", "MiB", "GiB")
_KIBI: Final = 1024
_STATUS_COLOURS: Final = {
    "healthy": "green",
    "loaded": "green",
    "connected": "green",
    "ok": "green",
    "fixed": "green",
    "active": "green",
    "delivered": "green",
    "pending": "yellow",
    "failed": "red",
    "loading": "yellow",
    "connecting": "yellow",
    "reconnecting": "yellow",
    "disabled": "yellow",
    "degraded": "yellow",
    "advice": "yellow",
    "idle": "yellow",
    "error": "red",
    "disconnected": "red",
    "needs_auth": "red",
    "problem": "red",
    "quarantined": "red",
}

Paint = Callable[[str], str]


def page_options(command: Command) -> Command:
    """Give a command that lists something the options `limit` and `offset`, as the API has them."""
    limit = click.option(
        "--limit",
        type=click.IntRange(1, _MAX_LISTED),
        default=50,
        show_default=True,
        help="How many at most.",
    )
    offset = click.option(
        "--offset",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="How many of the newest to leave out.",
    )
    return limit(offset(command))


def show_json(value: Any) -> None:
    """Print `value` for programs."""
    click.echo(json.dumps(value, indent=2))


def styled_status(text: str) -> str:
    """Return a status in its colour, where there are colours."""
    colour = _STATUS_COLOURS.get(text.strip())
    return click.style(text, fg=colour) if colour is not None and has_colours() else text


def status_sentence(name: str, version: str | None, status: str) -> str:
    """Return a plugin's status as a sentence."""
    known = f"{name} {version}" if version is not None else name
    return f"{known} is {'in error' if status == 'error' else status}."


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    paint: Mapping[str, Paint] | None = None,
    width: int | None = None,
) -> str:
    """Return `rows` in columns under `headings`; cells that do not fit the `width` go on in the next line.

    What a terminal would obey is escaped. `paint` colours the cells of a column. Without a `width` that of the terminal
    counts, where standard output is one.
    """
    cells = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = _fitting([max(map(cell_width, column)) for column in zip(*cells, strict=True)], width)
    painters = [(paint or {}).get(heading, str) for heading in headings]
    lines = []
    for number, row in enumerate(cells):
        wrapped = [wrap(cell, room) for cell, room in zip(row, widths, strict=True)]
        for level in range(max(map(len, wrapped))):
            line = [part[level] if level < len(part) else "" for part in wrapped]
            padded = [text + " " * (room - cell_width(text)) for text, room in zip(line, widths, strict=True)]
            padded[-1] = line[-1]
            if number:
                padded = [painter(text) for painter, text in zip(painters, padded, strict=True)]
            lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines)


def fields(pairs: Sequence[tuple[str, object]], *, width: int | None = None) -> str:
    """Return names and values, one pair for each line or more; a value without a name goes on under the one before.

    What a terminal would obey is escaped, but for the line breaks of values.
    """
    named = [
        (f"{printable(name)}:" if name and not position else "", printable(line))
        for name, value in pairs
        for position, line in enumerate(str(value).split("\n"))
    ]
    first = max(cell_width(name) for name, _ in named)
    total = width or terminal_width()
    room = None if total is None else max(total - first - len(_GAP), _NARROWEST)
    lines = []
    for name, value in named:
        for position, text in enumerate([value] if room is None else wrap(value, room)):
            lines.append(f"{'' if position else name:{first}}{_GAP}{text}".rstrip())
    return "\n".join(lines)


def terminal_width() -> int | None:
    """Return the columns of the terminal that standard output is; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def has_colours() -> bool:
    """Return whether standard output is a terminal that shows colours, and its user wants them."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def cell_width(text: str) -> int:
    """Return how many columns a terminal takes for `text`."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def wrap(text: str, width: int) -> list[str]:
    """Break `text` into lines of at most `width` (2 or more) columns, between words where that is possible."""
    if cell_width(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_width(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for char in word:
            if cell_width(lines[-1] + char) > width:
                lines.append("")
            lines[-1] += char
    return lines


def size(count: int) -> str:
    """Return a number of bytes for people."""
    amount, unit = float(count), 0
    while amount >= _KIBI and unit < len(_UNITS) - 1:
        amount, unit = amount / _KIBI, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def duration(secs: int) -> str:
    """Return a time span for people: `3d 4h`, `5m 2s`."""
    days, rest = divmod(secs, 86400)
    parts = ((days, "d"), (rest // 3600, "h"), (rest % 3600 // 60, "m"), (rest % 60, "s"))
    named = [f"{number}{unit}" for number, unit in parts if number]
    return " ".join(named[:2]) or "0s"


def moment(text: str) -> str:
    """Return a time of the API for people, to the second and in UTC as everywhere."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%SZ}"


def _fitting(widths: list[int], width: int | None) -> list[int]:
    """Take from the widest columns what is too much."""
    total = width or terminal_width()
    if total is None:
        return widths
    widths = [min(each, total) for each in widths]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > total and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths
