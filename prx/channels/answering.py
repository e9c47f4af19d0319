"""One message of a chat dealt with: its session, the agent's turn, the answer delivered; any of it can be resumed."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from prx.channels import attachments, inbox_table
from prx.channels.connections import Connections
from prx.channels.inbox_table import Entry
from prx.channels.outlet import Outlet, whole
from prx.channels.pacing import Paces
from prx.channels.reply import Reply
from prx.config.channels import ChannelConfig
from prx.core.channel_errors import UndeliverableError
from prx.core.errors import ConflictError, NotFoundError, PrxError, UnavailableError
from prx.core.message import Answer
from prx.core.talk import SessionBook, Talk, Turn
from prx.runtime.logging import get_logger
from prx.runtime.store import Store

_MAX_ATTEMPTS: Final = 5
_NOT_ANSWERED: Final = "This could not be answered. Please write it again."
_ANEW: Final = (
    "(This begins a new conversation, which knows nothing of what was said before: the one until now has had its "
    "turns, or used its budget.)"
)
_NO_TEXT: Final = "(The agent answered without a text.)"

_log = get_logger("channels::answering")


@dataclass(frozen=True, slots=True)
class Desk:
    """What answering needs of the daemon."""

    config: Callable[[], Mapping[str, ChannelConfig]]
    store: Store
    talk: Talk
    sessions: SessionBook
    connections: Connections
    paces: Paces


async def answer(entry: Entry, desk: Desk) -> None:
    """Deal with an entry to its end; it is forgotten then.

    Raises:
        UnavailableError: it has to be tried again later; what was done until then is kept.
    """
    outlet = Outlet(desk.connections, desk.paces, entry.channel, entry.address.conversation)
    config = desk.config().get(entry.channel)
    if config is None:
        _log.warning(
            "a message is not answered: its channel is not configured any more", channel=entry.channel
        )
    else:
        reply = Reply(entry, outlet, desk.store, config)
        try:
            await reply.deliver(await _text(entry, desk, reply))
        except UndeliverableError as error:
            _log.warning("an answer cannot be delivered", channel=entry.channel, reason=error.message)
    await desk.store.run(lambda db: inbox_table.remove(db, entry.number))


async def _text(entry: Entry, desk: Desk, reply: Reply) -> str:
    """Return what is to be said."""
    if entry.reply is not None:
        return entry.reply
    if entry.attempts >= _MAX_ATTEMPTS:
        _log.error("a message was given up", channel=entry.channel, attempts=entry.attempts)
        return _NOT_ANSWERED
    try:
        entry, turn = await _asked(await _prepared(entry, desk), desk)
        async with reply.shown(turn):
            given = await turn.answer()
            text = _said(given)
            if entry.begins_anew:
                text = "\n\n".join(filter(None, [_ANEW, text]))
            # At once, also where the daemon stops: its next life is to say this, not that the turn was cut off.
            await whole(
                desk.store.run(lambda db: inbox_table.keep_answer(db, entry.number, text, given.files))
            )
    except UnavailableError:
        raise
    except PrxError as error:
        return error.message
    return text


def _said(given: Answer) -> str:
    if given.error is None:
        missing = "\n".join(f"[not sent: {each}]" for each in given.files_left_out)
        text = "\n\n".join(filter(None, [given.content.strip() and given.content, missing]))
        return text or ("" if given.files else _NO_TEXT)
    if given.error.code == "interrupted":
        # The daemon stops, and its next life asks once more.
        raise UnavailableError(given.error.message)
    return "\n\n".join(filter(None, [given.content, f"({given.error.message})"]))


async def _prepared(entry: Entry, desk: Desk) -> Entry:
    """Have what its files say be part of what the agent is asked, the same in every attempt."""
    if not entry.attachments:
        return entry
    adapter = await desk.connections.wait(entry.channel)
    content = "\n\n".join(filter(None, [entry.content, await attachments.told(entry.attachments, adapter)]))
    await _note(desk, entry, content=content, attachments="[]")
    return replace(entry, content=content, attachments=())


async def _asked(entry: Entry, desk: Desk) -> tuple[Entry, Turn]:
    """Have the agent take the message, in its conversation's session or, where that takes no more, in another."""
    session = entry.session or await desk.store.run(
        lambda db: inbox_table.session_of(db, entry.channel, entry.lane)
    )
    if session is not None:
        try:
            return entry, await _posted(entry, session, desk)
        except (ConflictError, NotFoundError) as error:
            _log.info("a conversation begins anew", channel=entry.channel, reason=error.message)
            if not await _is_over(session, desk):
                entry = replace(entry, begins_anew=True)
    begun = await desk.sessions.create(entry.channel, entry.user_id, {})

    def job(db: sqlite3.Connection) -> None:
        inbox_table.set_session(db, entry.channel, entry.lane, begun.id)
        inbox_table.note(db, entry.number, session=begun.id, begins_anew=entry.begins_anew)

    await desk.store.run(job)
    return entry, await _posted(replace(entry, session=begun.id), begun.id, desk)


async def _is_over(session: str, desk: Desk) -> bool:
    """Tell whether a session ended by time, or somebody ended it: who comes back after that expects no more of it."""
    try:
        return (await desk.sessions.get(session)).status == "terminated"
    except NotFoundError:
        return True


async def _posted(entry: Entry, session: str, desk: Desk) -> Turn:
    if entry.session != session:
        await _note(desk, entry, session=session)
    turn = await desk.talk.post(session, entry.content, key=entry.key)
    # A message that ends the daemon each time is not to do so for ever.
    await _note(desk, entry, attempts=entry.attempts + 1)
    return turn


async def _note(desk: Desk, entry: Entry, **facts: str | int) -> None:
    await desk.store.run(lambda db: inbox_table.note(db, entry.number, **facts))
