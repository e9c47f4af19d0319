"""The outbox: an event that a hook wants is on disk before anything is sent, with the fact that it tells of."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic_core import to_jsonable_python

from prx.core.ids import iso_utc, new_id, now_utc
from prx.core.outbox import StoredEvent
from prx.core.webhook import ALL

MAX_DATA_BYTES: Final = 64 * 1024
_MAX_CUT_CHARS: Final = 8 * 1024


class Happening(NamedTuple):
    """Something that happened, under the name that hooks know."""

    event: str
    data: Mapping[str, Any]
    at: datetime


class HookOutbox:
    """Implements `prx.core.outbox.Outbox`. Its methods run in jobs of the store."""

    def __init__(self, queued: Callable[[Iterable[int]], None]) -> None:
        """Tell `queued`, in the store's thread and before the commit, which hooks there is something for."""
        self._queued = queued

    def put(self, connection: sqlite3.Connection, event: StoredEvent, data: Mapping[str, Any]) -> None:
        """See `Outbox.put`."""
        self.put_all(connection, [Happening(event, data, now_utc())])

    def put_all(self, connection: sqlite3.Connection, happenings: Sequence[Happening]) -> None:
        """Queue each of `happenings`, in this order, for the hooks that want it."""
        noticed: set[int] = set()
        for happening in happenings:
            hooks = [
                hook
                for (hook,) in connection.execute(
                    "SELECT DISTINCT hook FROM hook_wants WHERE event IN (?, ?)", (happening.event, ALL)
                )
            ]
            if hooks:
                queue(connection, new_id("evt"), happening, hooks)
                noticed.update(hooks)
        if noticed:
            self._queued(noticed)


def queue(connection: sqlite3.Connection, event_id: str, happening: Happening, hooks: Iterable[int]) -> int:
    """Queue `happening` for `hooks`, whatever they want; return the event's number."""
    row = connection.execute(
        "INSERT INTO hook_events (id, event, at, body) VALUES (?, ?, ?, ?)",
        (event_id, happening.event, iso_utc(happening.at), body_of(event_id, happening)),
    )
    number = row.lastrowid or 0
    connection.executemany(
        "INSERT INTO hook_deliveries (hook, event) VALUES (?, ?)", [(hook, number) for hook in hooks]
    )
    return number


def body_of(event_id: str, happening: Happening) -> bytes:
    """Return what is sent: JSON in ASCII, so that every receiver reads the same bytes in the same way."""
    document = {
        "event": happening.event,
        "timestamp": iso_utc(happening.at),
        "data": _fitting(to_jsonable_python(happening.data, inf_nan_mode="null", serialize_unknown=True)),
        "id": event_id,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _fitting(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data`; of one that is too large its short values, the beginnings of its texts, and `truncated`."""
    if len(json.dumps(data)) <= MAX_DATA_BYTES:
        return data
    kept: dict[str, Any] = {"truncated": True}
    room = MAX_DATA_BYTES - len(json.dumps(kept))
    for key, value in data.items():
        cut = value[:_MAX_CUT_CHARS] if isinstance(value, str) else value
        size = len(json.dumps({key: cut}))
        if size <= room:
            kept[key] = cut
            room -= size
    return kept
