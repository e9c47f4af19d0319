"""The sessions' table: what the store's jobs do. Everything here runs in the store's thread."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from prx.agent.budgets import Spent
from prx.agent.open_sessions import OpenSession
from prx.core.errors import ConflictError, NotFoundError
from prx.core.ids import iso_utc
from prx.core.session import Session, SessionPage, SessionStatus, SessionSummary, TokenUsage

# So that a job holds up the others for milliseconds, however much there is to do.
STEP: Final = 256

_IS: Final[dict[SessionStatus, str]] = {
    "active": "ended_at IS NULL AND last_activity > max(:idle, :over)",
    "idle": "ended_at IS NULL AND last_activity > :over AND last_activity <= :idle",
    "terminated": "(ended_at IS NOT NULL OR last_activity <= :over)",
}
_STATUS: Final = (
    f"CASE WHEN {_IS['active']} THEN 'active' WHEN {_IS['idle']} THEN 'idle' ELSE 'terminated' END"
)
_SUMMARY: Final = "id, channel, user_id, created_at, last_activity"


class Limits(NamedTuple):
    """Up to which last activity a session is idle, or over, as of one moment."""

    idle: datetime
    over: datetime

    @property
    def active_after(self) -> datetime:
        """After which last activity a session is active; its time may be over before it would be idle."""
        return max(self.idle, self.over)

    def parameters(self) -> dict[str, Any]:
        """Return what `_IS` and `_STATUS` compare with."""
        return {"idle": iso_utc(self.idle), "over": iso_utc(self.over)}


class Located(NamedTuple):
    """A session as the jobs of what happens in it need it."""

    number: int
    id: str
    channel: str
    user_id: str
    status: SessionStatus
    turns: int
    """How many it had."""
    spent: Spent
    """What they used."""


class Ended(NamedTuple):
    """A session that was terminated just now."""

    id: str
    channel: str
    user_id: str


def insert(db: sqlite3.Connection, session: Session) -> None:
    db.execute(
        f"INSERT INTO sessions ({_SUMMARY}, metadata) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608  # names of columns
        (
            session.id, session.channel, session.user_id, iso_utc(session.created_at),
            iso_utc(session.last_activity), json.dumps(session.metadata, ensure_ascii=False),
        ),
    )  # fmt: skip


def find(db: sqlite3.Connection, session_id: str, limits: Limits) -> Session:
    """Return one session.

    Raises:
        NotFoundError: there is none with this id.
    """
    row = db.execute(
        f"SELECT {_STATUS}, {_SUMMARY}, metadata, turn_count, input_tokens, output_tokens "  # noqa: S608  # as above
        "FROM sessions WHERE id = :id",
        {"id": session_id, **limits.parameters()},
    ).fetchone()
    if row is None:
        raise NotFoundError(f"Session {session_id} not found")
    status, session_id, channel, user_id, created_at, last_activity, metadata, turns, *tokens = row
    return Session(
        session_id, channel, user_id, status, datetime.fromisoformat(created_at), datetime.fromisoformat(last_activity),
        turns, TokenUsage(*tokens), json.loads(metadata),
    )  # fmt: skip


def locate(db: sqlite3.Connection, session_id: str, limits: Limits) -> Located:
    """Return where a session is.

    Raises:
        NotFoundError: there is none with this id.
    """
    row = db.execute(
        f"SELECT number, id, channel, user_id, {_STATUS}, turn_count, input_tokens + output_tokens, cost_usd "  # noqa: S608  # as above
        "FROM sessions WHERE id = :id",
        {"id": session_id, **limits.parameters()},
    ).fetchone()
    if row is None:
        raise NotFoundError(f"Session {session_id} not found")
    number, session_id, channel, user_id, status, turns, *spent = row
    return Located(number, session_id, channel, user_id, status, turns, Spent(*spent))


def touch(db: sqlite3.Connection, number: int, at: datetime) -> None:
    db.execute(
        "UPDATE sessions SET last_activity = max(last_activity, ?) WHERE number = ?", (iso_utc(at), number)
    )


def count_turn(db: sqlite3.Connection, number: int, usage: TokenUsage, cost_usd: float | None) -> None:
    db.execute(
        "UPDATE sessions SET turn_count = turn_count + 1, input_tokens = input_tokens + ?, "
        "output_tokens = output_tokens + ?, cost_usd = cost_usd + ? WHERE number = ?",
        (*usage, cost_usd or 0.0, number),
    )


def page(
    db: sqlite3.Connection,
    status: SessionStatus,
    channel: str | None,
    limits: Limits,
    *,
    limit: int,
    offset: int,
) -> SessionPage:
    """Return sessions that match, the newest first."""
    where = _IS[status] + ("" if channel is None else " AND channel = :channel")
    given = {"channel": channel, "limit": limit, "offset": offset, **limits.parameters()}
    (total,) = db.execute(f"SELECT count(*) FROM sessions WHERE {where}", given).fetchone()  # noqa: S608  # as above
    # The page is found by numbers alone: an index has them, and whole rows need not be sorted.
    numbers = f"SELECT number FROM sessions WHERE {where} ORDER BY number DESC LIMIT :limit OFFSET :offset"  # noqa: S608  # as above
    rows = db.execute(
        f"SELECT {_SUMMARY} FROM sessions WHERE number IN ({numbers}) ORDER BY number DESC",  # noqa: S608  # as above
        given,
    )
    found = [
        SessionSummary(
            session_id, name, user_id, status, datetime.fromisoformat(created), datetime.fromisoformat(active)
        )
        for session_id, name, user_id, created, active in rows
    ]
    return SessionPage(found, total)


def end(db: sqlite3.Connection, session_id: str, at: datetime, limits: Limits) -> Ended:
    """Terminate a session.

    Raises:
        NotFoundError: there is none with this id.
        ConflictError: it is terminated already.
    """
    session = find(db, session_id, limits)
    if session.status == "terminated":
        raise ConflictError(f"Session {session_id} is terminated already")
    db.execute("UPDATE sessions SET ended_at = ? WHERE id = ?", (iso_utc(at), session_id))
    return Ended(session_id, session.channel, session.user_id)


def end_overdue(db: sqlite3.Connection, at: datetime, limits: Limits) -> Sequence[Ended]:
    """Terminate those whose time is over, `STEP` of them at most, the earliest first."""
    rows = db.execute(
        "UPDATE sessions SET ended_at = ? WHERE number IN (SELECT number FROM sessions "
        "WHERE ended_at IS NULL AND last_activity <= ? ORDER BY last_activity LIMIT ?) "
        "RETURNING id, channel, user_id",
        (iso_utc(at), iso_utc(limits.over), STEP),
    )
    return [Ended(*row) for row in rows.fetchall()]


def bring_back(db: sqlite3.Connection, at: datetime, after: datetime) -> int:
    """Have activity later than `after` count as of `at`, in `STEP` open sessions at most; return in how many."""
    return db.execute(
        "UPDATE sessions SET last_activity = ? WHERE number IN "
        "(SELECT number FROM sessions WHERE ended_at IS NULL AND last_activity > ? LIMIT ?)",
        (iso_utc(at), iso_utc(after), STEP),
    ).rowcount


def read_open(db: sqlite3.Connection) -> list[OpenSession]:
    """Return every session that was not terminated."""
    rows = db.execute("SELECT id, channel, last_activity FROM sessions WHERE ended_at IS NULL")
    return [
        OpenSession(session_id, channel, datetime.fromisoformat(last_activity))
        for session_id, channel, last_activity in rows
    ]


def remove_terminated(db: sqlite3.Connection, before: datetime, most: int) -> int:
    """Remove those that ended before `before`, or are more than `most`: the oldest first, `STEP` of them at most.

    Returns how many it removed.
    """
    ended, old = db.execute(
        "SELECT count(*), count(*) FILTER (WHERE ended_at < ?) FROM sessions WHERE ended_at IS NOT NULL",
        (iso_utc(before),),
    ).fetchone()
    return db.execute(
        "DELETE FROM sessions WHERE number IN "
        "(SELECT number FROM sessions WHERE ended_at IS NOT NULL ORDER BY ended_at LIMIT ?)",
        (min(max(old, ended - most), STEP),),
    ).rowcount
