"""Where messages of all channels arrive: judged, kept on disk, and answered in their order in each conversation."""

import asyncio
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from prx.channels import inbox_table
from prx.channels.answering import Desk, answer
from prx.channels.commands import Command, command_of, help_text, status_text
from prx.channels.inbox_table import Address, Entry
from prx.channels.pairing import Pairings
from prx.channels.policy import judge, welcomes
from prx.core.channel import IncomingMessage, Reception
from prx.core.errors import PrxError
from prx.core.ids import new_id, now_utc
from prx.core.message import MAX_CONTENT_BYTES
from prx.core.metric import Metric, gauge
from prx.core.session import MAX_USER_ID_CHARS, Session
from prx.core.skill import Skill
from prx.core.speaker import spoken
from prx.runtime.backoff import Backoff
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

_MAX_AT_ONCE: Final = 64
"""Conversations of one channel: one that is not connected holds up no other."""
_MAX_STRANGERS: Final = 1000
# As bytes of UTF-8 these many characters fit, whichever they are.
_MAX_CHARS: Final = MAX_CONTENT_BYTES // 8

_log = get_logger("channels::inbox")

Lane = tuple[str, str]
"""A channel, and what in it is dealt with in order."""


class _NoRoomError(Exception):
    """Too much waits for a message to be kept: it does not count as seen, either."""


class Inbox:
    """Takes messages, so that they are on disk when a platform may forget them, and sees each to its answer."""

    def __init__(self, desk: Desk, pairings: Pairings, skills: Callable[[], Sequence[Skill]]) -> None:
        """Take nothing yet."""
        self._desk = desk
        self._pairings = pairings
        self._skills = skills
        self._tasks = Tasks(_log, lambda: None)
        self._lanes: set[Lane] = set()
        self._again: set[Lane] = set()
        """Those that something came for while they were being dealt with."""
        self._rooms: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_MAX_AT_ONCE)
        )
        self._strangers: set[tuple[str, str]] = set()

    async def resume(self) -> None:
        """Go on with what earlier lives left.

        Raises:
            UnavailableError: the store cannot be used.
        """
        now = now_utc()
        for lane in await self._desk.store.run(lambda db: inbox_table.lanes(db, now)):
            self._wake(lane)

    async def receive(self, channel: str, message: IncomingMessage) -> Reception:
        """See `ChannelContext.receive`."""
        config = self._desk.config().get(channel)
        if config is None or not (message.text.strip() or message.attachments):
            return "refused"
        command = command_of(message)
        match judge(message, config):
            case "stranger":
                return await self._let_ask(channel, message, command)
            case "heard" if command is not None:
                return await self._obey(channel, message, command)
            case "heard":
                return await self._keep(channel, message)
            case "unwelcome" if message.mentioned or not message.is_group:
                self._note_stranger(channel, message)
                return "refused"
            case "ignored" | "unwelcome":
                return "refused"

    def welcomes(self, channel: str, sender: str, *, is_group: bool) -> bool:
        """See `ChannelContext.welcomes`."""
        config = self._desk.config().get(channel)
        return config is not None and welcomes(sender, config, is_group=is_group)

    async def tell(self, channel: str, address: Address, text: str) -> None:
        """Say something to a conversation by itself; it is on disk when this returns.

        Raises:
            UnavailableError: it cannot be kept now.
        """
        entry = _notice(channel, address, text)
        await self._desk.store.run(lambda db: inbox_table.put(db, entry, now_utc()))
        self._wake((channel, entry.lane))

    async def last_message_at(self, channel: str) -> datetime | None:
        """See `Intake.last_message_at`."""
        return await self._desk.store.run(lambda db: inbox_table.last_seen(db, channel))

    def metrics(self) -> Sequence[Metric]:
        """Return how many conversations are being answered; see `MetricSource`."""
        return [gauge("prx_channel_conversations", "Conversations that wait for an answer", len(self._lanes))]

    async def aclose(self) -> None:
        """Leave what is not answered to the next life."""
        await self._tasks.aclose()

    async def _keep(self, channel: str, message: IncomingMessage) -> Reception:
        address, now = _address(message), now_utc()
        user = message.conversation if message.is_group else message.sender
        entry = Entry(
            channel=channel,
            lane=_lane(address),
            address=address,
            user_id=user[:MAX_USER_ID_CHARS],
            content=_said(message),
            attachments=message.attachments,
            key=new_id("chat"),
        )
        full = _notice(
            channel, address, "Too many of your messages wait for an answer: this one was not taken."
        )

        def job(db: sqlite3.Connection) -> tuple[Reception, str | None]:
            if (known := _known(db, channel, message)) is not None:
                return known, None
            for one in (entry, full):
                if inbox_table.put(db, one, now):
                    return "taken", one.lane
            raise _NoRoomError

        try:
            reception, lane = await self._desk.store.run(job)
        except _NoRoomError:
            return "refused"
        if lane is not None:
            self._wake((channel, lane))
        return reception

    async def _obey(self, channel: str, message: IncomingMessage, command: Command) -> Reception:
        """Do what a command says, at once, whatever waits."""
        address = _address(message)
        known = await self._desk.store.run(lambda db: _known(db, channel, message))
        if known is not None:
            return known
        lane = _lane(address)
        session_id = await self._desk.store.run(lambda db: inbox_table.session_of(db, channel, lane))
        await self.tell(channel, address, await self._done(channel, lane, session_id, command))
        return "taken"

    async def _done(self, channel: str, lane: str, session_id: str | None, command: Command) -> str:
        match command:
            case "new":
                await self._desk.store.run(lambda db: inbox_table.set_session(db, channel, lane, None))
                if session_id is not None and await self._session(session_id) is not None:
                    try:
                        await self._desk.sessions.terminate(session_id)
                    except PrxError as error:  # it may be over already
                        _log.debug(
                            "a session could not be ended", session_id=session_id, reason=error.message
                        )
                return "This is a new conversation."
            case "stop":
                stopped = session_id is not None and self._desk.talk.cancel(session_id)
                return "Stopped." if stopped else "Nothing is being answered."
            case "pair":
                return "You can talk to me already."
            case "status":
                session = None if session_id is None else await self._session(session_id)
                return status_text(channel, session)
            case "help":
                return help_text(self._skills())

    async def _session(self, session_id: str) -> Session | None:
        try:
            return await self._desk.sessions.get(session_id)
        except PrxError:
            return None

    async def _let_ask(self, channel: str, message: IncomingMessage, command: Command | None) -> Reception:
        """Give somebody who may not talk a code; whatever else they say is not looked at."""
        if command != "pair":
            self._note_stranger(channel, message)
            return "refused"
        address = _address(message)
        known = await self._desk.store.run(lambda db: _known(db, channel, message))
        if known is not None:
            return known
        code = await self._pairings.ask(channel, message, address)
        if code is None:
            return "refused"
        _log.info("somebody asks to be let in", channel=channel, sender=message.sender, code=code)
        await self.tell(
            channel,
            address,
            f"Your code is {code}. Whoever runs this daemon lets you in with: prx channel approve {code}",
        )
        return "taken"

    def _note_stranger(self, channel: str, message: IncomingMessage) -> None:
        """Tell operators once who writes in vain, so that they find the id to allow."""
        who = (channel, message.sender)
        if who not in self._strangers and len(self._strangers) < _MAX_STRANGERS:
            self._strangers.add(who)
            _log.info("somebody who may not talk was not answered", channel=channel, sender=message.sender)

    def _wake(self, lane: Lane) -> None:
        if lane in self._lanes:
            self._again.add(lane)
        else:
            self._lanes.add(lane)
            self._tasks.start(self._serve(lane))

    async def _serve(self, lane: Lane) -> None:
        """Deal with a lane's entries until there are none."""
        backoff = Backoff()
        try:
            while True:
                self._again.discard(lane)
                try:
                    if await self._deal_with_next(lane):
                        backoff.reset()
                    elif lane not in self._again:
                        return
                except PrxError as error:
                    pause = backoff.pause_secs()
                    _log.info(
                        "a message waits",
                        channel=lane[0],
                        reason=error.message,
                        again_in_secs=round(pause, 1),
                    )
                    await asyncio.sleep(pause)
        finally:
            self._lanes.discard(lane)

    async def _deal_with_next(self, lane: Lane) -> bool:
        """Answer the first entry of a lane; tell whether there was one."""
        async with self._rooms[lane[0]]:
            entry = await self._desk.store.run(lambda db: inbox_table.first(db, *lane))
            if entry is None:
                return False
            await answer(entry, self._desk)
            return True


def _known(db: sqlite3.Connection, channel: str, message: IncomingMessage) -> Reception | None:
    """Note that a message came; return what becomes of it where it came before, None where it is new."""
    if inbox_table.see(db, channel, message.event_id, now_utc()):
        return None
    return "underway" if inbox_table.waits(db, channel, _address(message)) else "seen"


def _address(message: IncomingMessage) -> Address:
    return Address(message.conversation, message.thread, message.message_id)


def _said(message: IncomingMessage) -> str:
    text = message.text[:_MAX_CHARS]
    if more := len(message.text) - len(text):
        text = f"{text}\n[{more} more characters were cut off]"
    return spoken(text, message.sender, message.sender_name) if message.is_group else text


def _lane(address: Address) -> str:
    return json.dumps([address.conversation, address.thread])


def _notice(channel: str, address: Address, text: str) -> Entry:
    """Return an entry for what PRX itself says: in a lane of its own, so that no answer holds it up."""
    lane = json.dumps([address.conversation, address.thread, "notice"])
    return Entry(channel=channel, lane=lane, address=address, user_id="", reply=text, key=new_id("chat"))
