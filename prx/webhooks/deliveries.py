"""Deliveries in the store: what is still to be sent, what became of it, and what is not kept any longer.

All functions run in jobs of the store.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from prx.core.errors import NotFoundError
from prx.core.ids import iso_utc
from prx.webhooks import table
from prx.webhooks.hook import Delivery, DeliveryState, Hook, Outcome, Pending
from prx.webhooks.outbox import Happening, queue

MAX_READ: Final = 16
"""How many of a hook's deliveries are in memory at most."""
MAX_FINISHED: Final = 1000
"""How many deliveries that are over are kept of each hook."""
_MAX_REMOVED: Final = 500
_COLUMNS: Final = (
    "event.id, event.event, event.at, delivery.state, delivery.attempts, delivery.last_attempt_at, delivery.status, "
    "delivery.latency_ms, delivery.error, delivery.excerpt, delivery.next_try_ms"
)


class Result(NamedTuple):
    """One attempt, to be written down."""

    hook: int
    event: int
    state: DeliveryState
    attempts: int
    outcome: Outcome
    next_try_ms: int = 0
    round: int = 0


def turn(
    connection: sqlite3.Connection, results: Iterable[Result], wanted: Mapping[int, int]
) -> dict[int, list[Pending]]:
    """Write `results` down, then return the next pending deliveries of each hook in `wanted`, after that event."""
    for result in results:
        write(connection, result)
    return {hook: _pending(connection, hook, after) for hook, after in wanted.items()}


def write(connection: sqlite3.Connection, result: Result) -> bool:
    """Write down what an attempt came to; return whether it counts.

    It does not where a later one is known already, or where it failed in an earlier round: somebody has had the event
    tried afresh since, perhaps at another URL.
    """
    outcome = result.outcome
    written = connection.execute(
        "UPDATE hook_deliveries SET state = ?, attempts = ?, last_attempt_at = ?, status = ?, latency_ms = ?, "
        "error = ?, excerpt = ?, next_try_ms = ? WHERE hook = ? AND event = ? AND attempts <= ? "
        "AND (round = ? OR ?)",
        (
            *(result.state, result.attempts, outcome.at, outcome.status, outcome.latency_ms),
            *(outcome.error, outcome.excerpt, result.next_try_ms, result.hook, result.event),
            *(result.attempts, result.round, outcome.delivered),
        ),
    )
    return written.rowcount > 0


def count_pending(connection: sqlite3.Connection, hook: int) -> int:
    """Return how many deliveries a hook waits for."""
    rows = connection.execute(
        "SELECT count(*) FROM hook_deliveries WHERE hook = ? AND state = 'pending'", (hook,)
    )
    return int(rows.fetchone()[0])


def page(
    connection: sqlite3.Connection, hook: int, state: DeliveryState | None, limit: int, offset: int
) -> tuple[list[Delivery], int]:
    """Return a hook's deliveries, the newest first, and how many there are."""
    where = "delivery.hook = ?" + ("" if state is None else " AND delivery.state = ?")
    values = (hook,) if state is None else (hook, state)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM hook_deliveries AS delivery JOIN hook_events AS event "  # noqa: S608  # constants
        f"ON event.number = delivery.event WHERE {where} ORDER BY delivery.event DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    total = connection.execute(f"SELECT count(*) FROM hook_deliveries AS delivery WHERE {where}", values)  # noqa: S608
    return [_shown(row) for row in rows], int(total.fetchone()[0])


def find(connection: sqlite3.Connection, hook: Hook, delivery_id: str) -> tuple[int, Delivery]:
    """Return one delivery, and its event's number.

    Raises:
        NotFoundError: the hook has none of this id.
    """
    row = connection.execute(
        f"SELECT {_COLUMNS}, event.number FROM hook_events AS event JOIN hook_deliveries AS delivery "  # noqa: S608
        "ON delivery.event = event.number WHERE event.id = ? AND delivery.hook = ?",
        (delivery_id, hook.number),
    ).fetchone()
    if row is None:
        raise NotFoundError(
            f'The hook {hook.id} has no delivery "{delivery_id[:80]}"; the last {MAX_FINISHED} that are over are kept'
        )
    return row[-1], _shown(row[:-1])


def try_again(connection: sqlite3.Connection, hook: int, event: int | None = None) -> None:
    """Make one delivery due now, whatever became of it; without `event` all that a hook waits for."""
    which, values = ("state = 'pending'", (hook,)) if event is None else ("event = ?", (hook, event))
    connection.execute(
        "UPDATE hook_deliveries SET state = 'pending', attempts = 0, next_try_ms = 0, round = round + 1 "  # noqa: S608  # constants
        f"WHERE hook = ? AND {which}",
        values,
    )


def note_test(
    connection: sqlite3.Connection, hook: Hook, sent: tuple[str, Happening], outcome: Outcome
) -> Delivery:
    """Write down a test that was sent, under its id, and what it came to; return it.

    Raises:
        NotFoundError: the hook was removed meanwhile; nothing would remove the test.
    """
    if not table.exists(connection, hook):
        raise NotFoundError(f"The hook {hook.id} was removed while the test was sent")
    event_id, happening = sent
    number = queue(connection, event_id, happening, [hook.number])
    state: DeliveryState = "delivered" if outcome.delivered else "failed"
    write(connection, Result(hook.number, number, state, 1, outcome))
    return find(connection, hook, event_id)[1]


def prune(connection: sqlite3.Connection, hook: int, *, max_backlog: int, before: str) -> tuple[int, bool]:
    """Remove some of what is not kept of a hook; return how many of these it still waited for, and if there is more.

    Kept are `MAX_FINISHED` deliveries that are over and `max_backlog` pending ones, of events since `before`.
    """
    gone = _aged(connection, hook, before) + _beyond(connection, hook, "<> 'pending'", MAX_FINISHED)
    lost = _beyond(connection, hook, "= 'pending'", max_backlog)
    lost += [event for event in gone if _is_pending(connection, hook, event)]
    removed = {*gone, *lost}
    connection.executemany(
        "DELETE FROM hook_deliveries WHERE hook = ? AND event = ?", [(hook, event) for event in removed]
    )
    if lost:
        connection.execute("UPDATE hooks SET lost = lost + ? WHERE number = ?", (len(lost), hook))
    return len(lost), len(removed) >= _MAX_REMOVED


def forget(connection: sqlite3.Connection, hook: int) -> bool:
    """Remove some of a removed hook's deliveries, in the end the hook; return whether there is more."""
    removed = connection.execute(
        "DELETE FROM hook_deliveries WHERE hook = ? AND event IN "
        "(SELECT event FROM hook_deliveries WHERE hook = ? LIMIT ?)",
        (hook, hook, _MAX_REMOVED),
    ).rowcount
    if removed:
        return True
    connection.execute("DELETE FROM hooks WHERE number = ?", (hook,))
    return False


def _pending(connection: sqlite3.Connection, hook: int, after: int) -> list[Pending]:
    rows = connection.execute(
        "SELECT delivery.event, event.id, event.body, delivery.attempts, delivery.next_try_ms, delivery.round, "
        "delivery.last_attempt_at, delivery.error "
        "FROM hook_deliveries AS delivery JOIN hook_events AS event ON event.number = delivery.event "
        "WHERE delivery.hook = ? AND delivery.event > ? AND delivery.state = 'pending' "
        "ORDER BY delivery.event LIMIT ?",
        (hook, after, MAX_READ),
    )
    return [Pending(*row) for row in rows]


def _aged(connection: sqlite3.Connection, hook: int, before: str) -> list[int]:
    rows = connection.execute(
        "SELECT event.number FROM hook_deliveries AS delivery JOIN hook_events AS event "
        "ON event.number = delivery.event WHERE delivery.hook = ? ORDER BY delivery.event LIMIT ?",
        (hook, _MAX_REMOVED),
    )
    oldest = [number for (number,) in rows]
    if not oldest:
        return []
    rows = connection.execute(
        "SELECT number FROM hook_events WHERE number BETWEEN ? AND ? AND at < ?",
        (oldest[0], oldest[-1], before),
    )
    return sorted({number for (number,) in rows}.intersection(oldest))


def _beyond(connection: sqlite3.Connection, hook: int, state: str, kept: int) -> list[int]:
    """Return the oldest deliveries of a state that are more than `kept`."""
    last = connection.execute(
        f"SELECT event FROM hook_deliveries WHERE hook = ? AND state {state} "  # noqa: S608  # constants
        "ORDER BY event DESC LIMIT 1 OFFSET ?",
        (hook, kept),
    ).fetchone()
    if last is None:
        return []
    rows = connection.execute(
        f"SELECT event FROM hook_deliveries WHERE hook = ? AND state {state} AND event <= ? "  # noqa: S608
        "ORDER BY event LIMIT ?",
        (hook, last[0], _MAX_REMOVED),
    )
    return [event for (event,) in rows]


def _is_pending(connection: sqlite3.Connection, hook: int, event: int) -> bool:
    rows = connection.execute(
        "SELECT 1 FROM hook_deliveries WHERE hook = ? AND event = ? AND state = 'pending'", (hook, event)
    )
    return rows.fetchone() is not None


def _shown(row: tuple[object, ...]) -> Delivery:
    *columns, next_try_ms = row
    delivery = Delivery._make([*columns, None])
    if delivery.state != "pending" or not isinstance(next_try_ms, int) or not next_try_ms:
        return delivery
    return delivery._replace(next_try_at=iso_utc(datetime.fromtimestamp(next_try_ms / 1000, UTC)))
