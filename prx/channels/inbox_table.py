"""Messages that came over channels and are not answered yet, on disk. Everything here runs in the store's thread."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from prx.core.channel import Attachment
from prx.core.errors import UnavailableError
from prx.core.file import File
from prx.core.ids import iso_utc, new_id

MAX_SEEN: Final = 1000
"""How many of a channel's messages are known, so that none is looked at twice."""
MAX_IN_LANE: Final = 100
MAX_IN_ALL: Final = 10_000
_KEPT: Final = timedelta(days=7)

_ENTRY: Final = (
    "number, channel, lane, address, user_id, content, attachments, reply, session, key, attempts, "
    "draft, sent, begins_anew"
)


class KeptFile(NamedTuple):
    """A file that goes out with an answer, without what is in it."""

    number: int
    name: str
    media_type: str
    size: int
    """In bytes."""


class Address(NamedTuple):
    """Where an answer goes."""

    conversation: str
    thread: str | None
    reply_to: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message that waits for its answer to be delivered; or a reply of PRX's own that does."""

    number: int = 0
    channel: str
    lane: str
    """Whose entries are dealt with one after the other."""
    address: Address
    user_id: str
    content: str = ""
    attachments: Sequence[Attachment] = ()
    reply: str | None = None
    """What is to be said, where that is known without the agent."""
    session: str | None = None
    """That the agent was asked in."""
    key: str
    """Under which the agent was asked: it takes the message once."""
    attempts: int = 0
    """How often the agent took it."""
    draft: str | None = None
    """The platform's id of the message that the answer grows in."""
    sent: int = 0
    """How many parts of the answer were delivered."""
    begins_anew: bool = False
    """Whether its answer has to say that another conversation begins, since the one before takes no more."""


def see(db: sqlite3.Connection, channel: str, event_id: str | None, now: datetime) -> bool:
    """Note a message of a channel; tell whether it was not seen before. One without an id never was."""
    new = db.execute(
        "INSERT INTO channel_seen (channel, event_id, seen_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (channel, event_id or new_id("evt"), iso_utc(now)),
    ).rowcount
    db.execute(
        "DELETE FROM channel_seen WHERE channel = ? AND number <= "
        "(SELECT number FROM channel_seen WHERE channel = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (channel, channel, MAX_SEEN),
    )
    return new > 0


def last_seen(db: sqlite3.Connection, channel: str) -> datetime | None:
    """Return when the newest message of a channel came."""
    row = db.execute(
        "SELECT seen_at FROM channel_seen WHERE channel = ? ORDER BY number DESC LIMIT 1", (channel,)
    ).fetchone()
    return None if row is None else datetime.fromisoformat(row[0])


def put(db: sqlite3.Connection, entry: Entry, now: datetime) -> bool:
    """Keep an entry; tell whether there was room in its lane.

    Raises:
        UnavailableError: too many wait over all lanes.
    """
    waiting, in_all = db.execute(
        "SELECT (SELECT count(*) FROM channel_inbox WHERE channel = ? AND lane = ?), "
        "(SELECT count(*) FROM channel_inbox)",
        (entry.channel, entry.lane),
    ).fetchone()
    if in_all >= MAX_IN_ALL:
        raise UnavailableError(f"{in_all} messages wait for their answers: later ones have to wait for those")
    if waiting >= MAX_IN_LANE:
        return False
    db.execute(
        "INSERT INTO channel_inbox (channel, lane, address, user_id, content, attachments, reply, key, received_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.channel, entry.lane, json.dumps(entry.address), entry.user_id, entry.content,
            json.dumps([asdict(each) for each in entry.attachments]), entry.reply, entry.key, iso_utc(now),
        ),
    )  # fmt: skip
    return True


def waits(db: sqlite3.Connection, channel: str, address: Address) -> bool:
    """Tell whether something is still to be said in answer to a message."""
    found = db.execute(
        "SELECT 1 FROM channel_inbox WHERE channel = ? AND address = ? LIMIT 1",
        (channel, json.dumps(address)),
    ).fetchone()
    return found is not None


def first(db: sqlite3.Connection, channel: str, lane: str) -> Entry | None:
    """Return what is to be dealt with next in a lane; None where there is nothing."""
    row = db.execute(
        f"SELECT {_ENTRY} FROM channel_inbox WHERE channel = ? AND lane = ? ORDER BY number LIMIT 1",  # noqa: S608  # names of columns
        (channel, lane),
    ).fetchone()
    return None if row is None else _entry(row)


def lanes(db: sqlite3.Connection, now: datetime) -> list[tuple[str, str]]:
    """Return every lane that has entries, by channel; those that are too old are forgotten."""
    db.execute("DELETE FROM channel_inbox WHERE received_at < ?", (iso_utc(now - _KEPT),))
    return db.execute("SELECT DISTINCT channel, lane FROM channel_inbox ORDER BY channel, lane").fetchall()


def note(db: sqlite3.Connection, number: int, **facts: str | int | None) -> None:
    """Keep what has become of an entry, by the names of its columns."""
    names = ", ".join(f"{name} = :{name}" for name in facts)
    db.execute(f"UPDATE channel_inbox SET {names} WHERE number = :number", {**facts, "number": number})  # noqa: S608  # as above


def note_act(db: sqlite3.Connection, number: int, reply: str) -> None:
    """Keep what is to be said to an entry where the daemon ends before there is an answer, unless there is one."""
    db.execute("UPDATE channel_inbox SET reply = ? WHERE number = ? AND reply IS NULL", (reply, number))


def keep_answer(db: sqlite3.Connection, number: int, text: str, files: Sequence[File]) -> None:
    """Keep what is to be said to an entry, with the files that go with it."""
    note(db, number, reply=text)
    db.executemany(
        "INSERT OR REPLACE INTO channel_files (entry, number, name, media_type, content) VALUES (?, ?, ?, ?, ?)",
        [(number, place, each.name, each.media_type, each.content) for place, each in enumerate(files)],
    )


def files(db: sqlite3.Connection, number: int) -> list[KeptFile]:
    """Return the files that go with the answer to an entry, in their order."""
    rows = db.execute(
        "SELECT number, name, media_type, length(content) FROM channel_files WHERE entry = ? ORDER BY number",
        (number,),
    )
    return [KeptFile(*row) for row in rows.fetchall()]


def file(db: sqlite3.Connection, number: int, place: int) -> File:
    """Return one of them whole, by its number."""
    name, media_type, content = db.execute(
        "SELECT name, media_type, content FROM channel_files WHERE entry = ? AND number = ?", (number, place)
    ).fetchone()
    return File(name=name, media_type=media_type, content=content)


def remove(db: sqlite3.Connection, number: int) -> None:
    """Forget an entry that was dealt with."""
    db.execute("DELETE FROM channel_inbox WHERE number = ?", (number,))


def session_of(db: sqlite3.Connection, channel: str, lane: str) -> str | None:
    """Return the session of a conversation, whatever has become of it; None where it has none."""
    row = db.execute(
        "SELECT session FROM channel_conversations WHERE channel = ? AND lane = ?", (channel, lane)
    ).fetchone()
    return None if row is None else str(row[0])


def set_session(db: sqlite3.Connection, channel: str, lane: str, session: str | None) -> None:
    """Have a conversation go on in another session; None has the next message begin one."""
    if session is None:
        db.execute("DELETE FROM channel_conversations WHERE channel = ? AND lane = ?", (channel, lane))
    else:
        db.execute("INSERT OR REPLACE INTO channel_conversations VALUES (?, ?, ?)", (channel, lane, session))


def _entry(row: Any) -> Entry:
    (
        number,
        channel,
        lane,
        address,
        user_id,
        content,
        attachments,
        reply,
        session,
        key,
        attempts,
        draft,
        sent,
        begins_anew,
    ) = row
    return Entry(
        number=number, channel=channel, lane=lane, address=Address(*json.loads(address)), user_id=user_id,
        content=content, attachments=[Attachment(**each) for each in json.loads(attachments)], reply=reply,
        session=session, key=key, attempts=attempts, draft=draft, sent=sent, begins_anew=bool(begins_anew),
    )  # fmt: skip
