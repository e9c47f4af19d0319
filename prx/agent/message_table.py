"""The messages' table: what the store's jobs do. Everything here runs in the store's thread."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

from prx.agent.round_table import decoded, encoded, forget
from prx.agent.session_table import STEP, Limits, Located, locate
from prx.core.errors import ConflictError
from prx.core.ids import iso_utc
from prx.core.message import Answer, Failure, Message, MessagePage, Round
from prx.core.session import TokenUsage

State = Literal["open", "answered", "failed", "blocked"]
"""Of a user's message: `open` until there is an answer; `blocked` is a failure after which no model sees it."""

_MAX_HISTORY: Final = 500
_SHOWN: Final = "id, role, content, created_at, reply_to, details"


class Accepted(NamedTuple):
    """A user's message that is on disk."""

    number: int
    message: Message
    session: Located
    answer: Answer | None
    """The answer, where the message has one already: it was sent once more."""
    is_new: bool


class PastTurn(NamedTuple):
    """A user's message that was dealt with, and what the agent made of it."""

    number: int
    content: str
    answer: str | None
    """The text of the answer; None where there was none."""
    rounds: Sequence[Round]
    opaque: str | None


class Summary(NamedTuple):
    """What a conversation was about up to a message."""

    text: str
    through: int
    """The number of the last message that it covers."""


class History(NamedTuple):
    """What was said in a session, as a model is to see it."""

    summary: Summary | None
    turns: Sequence[PastTurn]
    """Those behind the summary, the oldest first."""


class Unanswered(NamedTuple):
    """A message that was open when the daemon ended."""

    number: int
    message: Message
    session: Located


def accept(
    db: sqlite3.Connection,
    session: Located,
    message: Message,
    key: str | None,
    may_begin: Callable[[Located], None],
) -> Accepted:
    """Take a user's message, or find the one that was sent under the same key before.

    One whose turn failed is open again. A turn begins only where `may_begin` raises nothing; it gets the session, those
    turns counted that are about to be had.

    Raises:
        ConflictError: the session is terminated, or the key was another message's.
    """
    fingerprint = sha256(message.content.encode()).digest()
    if key is not None:
        known = db.execute(
            "SELECT number, id, content, created_at, state, fingerprint, answer FROM session_messages "
            "WHERE session = ? AND key = ?",
            (session.number, key),
        ).fetchone()
        if known is not None:
            return _again(db, session, known, fingerprint, may_begin)
    _check_may_begin(db, session, may_begin)
    number = db.execute(
        "INSERT INTO session_messages (id, session, role, content, created_at, state, key, fingerprint) "
        "VALUES (?, ?, 'user', ?, ?, 'open', ?, ?)",
        (message.id, session.number, message.content, iso_utc(message.created_at), key, fingerprint),
    ).lastrowid
    assert number is not None  # noqa: S101  # a row was inserted
    return Accepted(number, message, session, None, is_new=True)


def _again(
    db: sqlite3.Connection,
    session: Located,
    known: Any,
    fingerprint: bytes,
    may_begin: Callable[[Located], None],
) -> Accepted:
    number, message_id, content, created_at, state, taken, answer = known
    if taken != fingerprint:
        raise key_is_taken()
    message = Message(
        id=message_id, session_id=session.id, content=content, created_at=datetime.fromisoformat(created_at)
    )
    if state == "answered":
        row = db.execute(f"SELECT {_SHOWN} FROM session_messages WHERE number = ?", (answer,)).fetchone()  # noqa: S608  # names of columns
        found = _message(session.id, row)
        assert isinstance(found, Answer)  # noqa: S101  # as it was written
        return Accepted(number, message, session, found, is_new=False)
    _check_may_begin(db, session, may_begin)
    db.execute("UPDATE session_messages SET state = 'open' WHERE number = ?", (number,))
    return Accepted(number, message, session, None, is_new=False)


def key_is_taken() -> ConflictError:
    """Say that a key was used for another message."""
    return ConflictError(
        "The Idempotency-Key was used for another message in this session: use a new one for each message"
    )


def _check_may_begin(db: sqlite3.Connection, session: Located, may_begin: Callable[[Located], None]) -> None:
    if session.status == "terminated":
        raise ConflictError(f"Session {session.id} is terminated; begin another")
    (waiting,) = db.execute(
        "SELECT count(*) FROM session_messages WHERE session = ? AND number IN "
        "(SELECT number FROM session_messages WHERE state = 'open')",
        (session.number,),
    ).fetchone()
    may_begin(session._replace(turns=session.turns + waiting))


def settle(
    db: sqlite3.Connection, session: int, number: int, content: str | None, answer: Answer, state: State
) -> None:
    """Put the `answer` to the message `number` beside it, in place of the rounds that were kept before.

    `content` is what the message became on its way, if anything.
    """
    row = db.execute(
        "INSERT INTO session_messages (id, session, role, content, created_at, state, reply_to, details) "
        "VALUES (?, ?, 'assistant', ?, ?, ?, ?, ?)",
        (
            answer.id, session, answer.content, iso_utc(answer.created_at), state, answer.reply_to,
            json.dumps(_details(answer)),  # in ASCII: it may hold what is no Unicode
        ),
    ).lastrowid  # fmt: skip
    db.execute(
        "UPDATE session_messages SET state = ?, answer = ?, content = coalesce(?, content) WHERE number = ?",
        (state, row, content, number),
    )
    forget(db, number)


def page(db: sqlite3.Connection, session: Located, *, limit: int, offset: int) -> MessagePage:
    """Return messages of a session, the oldest first."""
    (total,) = db.execute(
        "SELECT count(*) FROM session_messages WHERE session = ?", (session.number,)
    ).fetchone()
    rows = db.execute(
        f"SELECT {_SHOWN} FROM session_messages WHERE session = ? ORDER BY number LIMIT ? OFFSET ?",  # noqa: S608  # as above
        (session.number, limit, offset),
    )
    return MessagePage([_message(session.id, row) for row in rows.fetchall()], total)


def history(db: sqlite3.Connection, session: int, number: int) -> History:
    """Return what was said in a session beside the message `number`."""
    text, through = db.execute(
        "SELECT summary, summary_through FROM sessions WHERE number = ?", (session,)
    ).fetchone()
    rows = db.execute(
        "SELECT asked.number, asked.content, asked.state, answer.content, answer.details "
        "FROM session_messages AS asked JOIN session_messages AS answer ON answer.number = asked.answer "
        "WHERE asked.session = ? AND asked.number != ? AND asked.number > ? "
        "AND asked.state IN ('answered', 'failed') ORDER BY asked.number DESC LIMIT ?",
        (session, number, through, _MAX_HISTORY),
    ).fetchall()
    past = []
    for asked, content, state, answer, written in reversed(rows):
        details = json.loads(written)
        said = answer if state == "answered" else None
        past.append(PastTurn(asked, content, said, _rounds(details), details.get("opaque")))
    return History(None if text is None else Summary(text, through), past)


def summarize(db: sqlite3.Connection, session: int, summary: Summary) -> None:
    """Have the beginning of a conversation be its summary from now on."""
    db.execute("UPDATE sessions SET summary = ?, summary_through = ? WHERE number = ?", (*summary, session))


def unanswered(db: sqlite3.Connection, limits: Limits) -> list[Unanswered]:
    """Return open messages, `STEP` of them at most."""
    rows = db.execute(
        "SELECT message.number, message.id, content, message.created_at, sessions.id "
        "FROM session_messages AS message JOIN sessions ON sessions.number = message.session "
        "WHERE state = 'open' ORDER BY message.number LIMIT ?",
        (STEP,),
    )
    return [
        Unanswered(
            number,
            Message(
                id=message_id,
                session_id=session_id,
                content=content,
                created_at=datetime.fromisoformat(created_at),
            ),
            locate(db, session_id, limits),
        )
        for number, message_id, content, created_at, session_id in rows.fetchall()
    ]


def _details(answer: Answer) -> dict[str, Any]:
    return {
        "rounds": [encoded(each) for each in answer.rounds],
        "usage": answer.usage,
        "provider": answer.provider,
        "model": answer.model,
        "finish": answer.finish,
        "error": answer.error,
        "opaque": answer.opaque,
        "cost_usd": answer.cost_usd,
    }


def _message(session_id: str, row: Any) -> Message:
    message_id, role, content, created_at, reply_to, text = row
    created = datetime.fromisoformat(created_at)
    if role == "user":
        return Message(id=message_id, session_id=session_id, content=content, created_at=created)
    details = json.loads(text)
    error = details["error"]
    return Answer(
        id=message_id,
        session_id=session_id,
        content=content,
        created_at=created,
        reply_to=reply_to,
        rounds=_rounds(details),
        usage=TokenUsage(*details["usage"]),
        provider=details["provider"],
        model=details["model"],
        finish=details["finish"],
        error=None if error is None else Failure(*error),
        opaque=details["opaque"],
        cost_usd=details["cost_usd"],
    )


def _rounds(details: Any) -> list[Round]:
    return [decoded(each) for each in details["rounds"]]
