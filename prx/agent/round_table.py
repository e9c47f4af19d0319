"""The rounds of turns that go on: on disk as they are made, until the answer takes their place.

A model's tools have effects. Should the daemon end in the middle of a turn, what they did, and what is not known of
them, is told by the answer that the next life gives. Everything here runs in the store's thread.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from prx.core.message import CalledTool, Failure, Round
from prx.core.session import TokenUsage


class Progress(NamedTuple):
    """What has become of a turn up to one of its rounds, that one included."""

    usage: TokenUsage
    cost_usd: float | None
    provider: str
    model: str


def keep(
    db: sqlite3.Connection,
    message: int,
    first: int,
    rounds: Sequence[Round],
    progress: Progress,
    content: str | None,
) -> None:
    """Put `rounds` on disk as those from the number `first` on; `content` is what the message became, if anything."""
    db.executemany(
        "INSERT INTO session_rounds (message, number, details) VALUES (?, ?, ?) "
        "ON CONFLICT (message, number) DO UPDATE SET details = excluded.details",
        [
            (message, number, json.dumps({"round": encoded(each), "progress": progress}))
            for number, each in enumerate(rounds, first)
        ],
    )
    if content is not None:
        db.execute("UPDATE session_messages SET content = ? WHERE number = ?", (content, message))


def kept(db: sqlite3.Connection, message: int) -> tuple[list[Round], Progress | None]:
    """Return the rounds of a turn that had no answer, and how far it was; None where it did not come to a round."""
    rows = db.execute("SELECT details FROM session_rounds WHERE message = ? ORDER BY number", (message,))
    found = [json.loads(details) for (details,) in rows]
    if not found:
        return [], None
    usage, *rest = found[-1]["progress"]
    return [decoded(each["round"]) for each in found], Progress(TokenUsage(*usage), *rest)


def forget(db: sqlite3.Connection, message: int) -> None:
    """Remove the rounds of a turn: its answer has them."""
    db.execute("DELETE FROM session_rounds WHERE message = ?", (message,))


def encoded(made: Round) -> dict[str, Any]:
    """Return a round as JSON has it."""
    return {"text": made.text, "opaque": made.opaque, "calls": [call._asdict() for call in made.calls]}


def decoded(each: Any) -> Round:
    """Return the round that was `encoded`."""
    return Round(each["text"], [_called(call) for call in each["calls"]], each["opaque"])


def _called(call: Any) -> CalledTool:
    error = call["error"]
    return CalledTool(**{**call, "error": None if error is None else Failure(*error)})
