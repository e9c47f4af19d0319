"""The table of hooks. All functions run in jobs of the store."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from prx.core.ids import iso_utc
from prx.core.webhook import canonical
from prx.webhooks.hook import Hook

_COLUMNS: Final = "number, id, url, events, origin, created_at, active, reason, since, lost"
_SECRETS: Final = "secret, secret_before, secret_before_until"


@dataclass(frozen=True, slots=True)
class SealedKeys:
    """The secrets of one hook as they are stored."""

    newest: str
    before: str | None = None
    before_until: datetime | None = None


def load(connection: sqlite3.Connection) -> list[tuple[Hook, SealedKeys]]:
    """Return every hook, in the order of registration."""
    rows = connection.execute(f"SELECT {_COLUMNS}, {_SECRETS} FROM hooks WHERE NOT removed ORDER BY number")  # noqa: S608
    return [(_hook(row[:-3]), _sealed(*row[-3:])) for row in rows]


def insert(connection: sqlite3.Connection, hook: Hook, keys: SealedKeys) -> Hook:
    """Add `hook`; return it with its number."""
    number = connection.execute(
        "INSERT INTO hooks (id, url, events, origin, created_at, active, secret) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(hook.id, hook.url, json.dumps(hook.events), hook.origin),
            *(hook.created_at, hook.active, keys.newest),
        ),
    ).lastrowid
    hook = replace(hook, number=number or 0)
    _want(connection, hook)
    return hook


def update(connection: sqlite3.Connection, hook: Hook, keys: SealedKeys | None = None) -> None:
    """Write down what of `hook` can change, and its secrets where there are other ones."""
    connection.execute(
        "UPDATE hooks SET url = ?, events = ?, active = ?, reason = ?, since = ?, lost = ? WHERE number = ?",
        (
            *(hook.url, json.dumps(hook.events), hook.active, hook.reason),
            *(hook.since, hook.lost, hook.number),
        ),
    )
    if keys is not None:
        until = None if keys.before_until is None else iso_utc(keys.before_until)
        connection.execute(
            "UPDATE hooks SET secret = ?, secret_before = ?, secret_before_until = ? WHERE number = ?",
            (keys.newest, keys.before, until, hook.number),
        )
    _want(connection, hook)


def remove(connection: sqlite3.Connection, hook: Hook) -> None:
    """Take `hook` off the list; its deliveries are removed bit by bit."""
    connection.execute("UPDATE hooks SET removed = 1 WHERE number = ?", (hook.number,))
    connection.execute("DELETE FROM hook_wants WHERE hook = ?", (hook.number,))


def exists(connection: sqlite3.Connection, hook: Hook) -> bool:
    """Return whether `hook` is still on the list."""
    rows = connection.execute("SELECT 1 FROM hooks WHERE number = ? AND NOT removed", (hook.number,))
    return rows.fetchone() is not None


def removed(connection: sqlite3.Connection) -> list[int]:
    """Return the numbers of hooks of which something is left to remove."""
    return [number for (number,) in connection.execute("SELECT number FROM hooks WHERE removed")]


def _want(connection: sqlite3.Connection, hook: Hook) -> None:
    connection.execute("DELETE FROM hook_wants WHERE hook = ?", (hook.number,))
    if hook.queues:
        wanted: Iterable[str] = dict.fromkeys(map(canonical, hook.events))
        connection.executemany(
            "INSERT INTO hook_wants (event, hook) VALUES (?, ?)", [(event, hook.number) for event in wanted]
        )


def _hook(row: tuple[object, ...]) -> Hook:
    number, hook_id, url, events, origin, created_at, active, reason, since, lost = row
    return Hook(  # the columns of the table
        number=number,  # type: ignore[arg-type]
        id=hook_id,  # type: ignore[arg-type]
        url=url,  # type: ignore[arg-type]
        events=tuple(json.loads(str(events))),
        origin=origin,  # type: ignore[arg-type]
        created_at=created_at,  # type: ignore[arg-type]
        active=bool(active),
        reason=reason,  # type: ignore[arg-type]
        since=since,  # type: ignore[arg-type]
        lost=lost,  # type: ignore[arg-type]
    )


def _sealed(newest: str, before: str | None, until: str | None) -> SealedKeys:
    return SealedKeys(newest, before, None if until is None else datetime.fromisoformat(until))
