"""One answer on its way to a chat: typing while it is made, a draft that grows, and the parts that it comes in."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from prx.channels import inbox_table
from prx.channels.inbox_table import Entry, KeptFile
from prx.channels.markup import formatted
from prx.channels.outlet import Outlet, whole
from prx.channels.parts import Part, beginning, not_sent, parts_of
from prx.config.channels import ChannelConfig
from prx.core.channel import Capabilities, OutgoingMessage
from prx.core.channel_errors import UndeliverableError
from prx.core.file import File
from prx.core.message import Approval
from prx.core.talk import Turn
from prx.core.text import well_formed
from prx.runtime.store import Store

_CUT_OFF: Final = (
    "The daemon was stopped while this was being answered, and had begun to act. "
    "Look at what it did, then write again."
)


class Reply:
    """What is said to one message."""

    def __init__(self, entry: Entry, outlet: Outlet, store: Store, config: ChannelConfig) -> None:
        """Have said as much as `entry` knows of."""
        self._entry = entry
        self._outlet = outlet
        self._store = store
        self._config = config
        self._draft = entry.draft
        self._drafted = ("", "")
        """What the draft says now, as far as this life knows: the text, and the same in the platform's markup."""

    def shown(self, turn: Turn) -> AbstractAsyncContextManager[None]:
        """Show for the length of the block that an answer comes about."""
        typing = self._outlet.type_for_ever(self._entry.address.thread)
        return _meanwhile(typing, self._note_first_act(turn), self._show(turn))

    async def deliver(self, text: str) -> None:
        """Say the whole of it, or what was not said yet in an earlier life; it is noted on disk how far it came.

        Raises:
            UndeliverableError: it can never be said there.
        """
        can = await self._outlet.capabilities()
        kept = await self._store.run(lambda db: inbox_table.files(db, self._entry.number))
        for number, part in enumerate(parts_of(text, kept, can)):
            if number >= self._entry.sent:
                await self._say(number, part, can)

    async def _say(self, number: int, part: Part, can: Capabilities) -> None:
        """Say one part; a file that can never be delivered is named in its place."""
        files = [await self._whole_file(each) for each in part.files]
        message = replace(self._message(part.text, can, str(number)), files=files)
        if number > 0:
            message = replace(message, reply_to=None)
        noted = partial(self._note, sent=number + 1)
        try:
            # A message that is changed gets no file.
            draft = self._draft if number == 0 and not files else None
            if draft is not None and _wording(message) == self._drafted:
                await noted()  # an edit would cost a request, and an app that knows none would show it twice
            else:
                await self._outlet.say(message, noted, instead_of=draft)
        except UndeliverableError as error:
            if not files:
                raise
            lines = [not_sent(each, error.message) for each in files]
            text = beginning("\n\n".join(filter(None, [part.text, "\n".join(lines)])), can)
            without = self._message(text, can, f"{number}-without")
            await self._outlet.say(replace(without, reply_to=message.reply_to), noted)

    async def _whole_file(self, file: File | KeptFile) -> File:
        if isinstance(file, File):
            return file
        return await self._store.run(lambda db: inbox_table.file(db, self._entry.number, file.number))

    async def _show(self, turn: Turn) -> None:
        """Have a message grow with the answer, and say what waits for an approval."""
        pause = self._config.draft_update_interval_ms / 1000
        seen, text = 0, ""
        while (events := await turn.feed.after(seen)) is not None:
            seen += len(events)
            can = self._outlet.capabilities_now()
            for name, data in events:
                if isinstance(data, Approval) and can is not None:
                    waits = f"{data.call.name} waits until somebody who runs this daemon approves it."
                    # No answer to the message: that is still to come.
                    await self._outlet.attempt(replace(self._message(waits, can), reply_to=None))
                elif name == "token":
                    text += str(data)
                elif name == "tool_call":
                    text = ""
            if can is not None and can.edits and self._config.stream_mode == "edits" and text.strip():
                await self._grow(text, can)
                await asyncio.sleep(pause)

    async def _note_first_act(self, turn: Turn) -> None:
        """Have the next life not begin this turn again, should this one end in its middle: its tools may have acted.

        Beside what is shown, which waits for the platform.
        """
        seen = 0
        while (events := await turn.feed.after(seen)) is not None:
            seen += len(events)
            if any(name == "tool_call" for name, _ in events):
                await self._store.run(lambda db: inbox_table.note_act(db, self._entry.number, _CUT_OFF))
                return

    async def _grow(self, text: str, can: Capabilities) -> None:
        begun = beginning(well_formed(text), can)  # so far it may end with half of a surrogate pair
        # A key of its own: under the answer's the platform would take that for a repeat of this.
        await whole(self._draft_of(self._message(begun, can, "draft")))

    async def _draft_of(self, message: OutgoingMessage) -> None:
        shown = await self._outlet.attempt(message, instead_of=self._draft)
        if shown is not None:
            self._drafted = _wording(message)
        if shown is not None and self._draft is None:
            self._draft = shown
            await self._note(draft=shown)

    def _message(self, text: str, can: Capabilities, part: str | None = None) -> OutgoingMessage:
        address = self._entry.address
        return OutgoingMessage(
            conversation=address.conversation,
            thread=address.thread,
            reply_to=address.reply_to,
            text=text,
            formatted=formatted(text, can.markup) if text else None,
            key=None if part is None else f"{self._entry.key}-{part}",
        )

    async def _note(self, **facts: str | int) -> None:
        await self._store.run(lambda db: inbox_table.note(db, self._entry.number, **facts))


def _wording(message: OutgoingMessage) -> tuple[str, str]:
    return message.text, message.formatted or ""


@asynccontextmanager
async def _meanwhile(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do `work` for the length of the block at most; a failure of it is raised at the end."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
