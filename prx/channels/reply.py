"""One answer on its way to a chat: typing while it is made, a draft that grows, and the parts that it comes in."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from prx.channels import inbox_table
from prx.channels.inbox_table import Entry
from prx.channels.markup import formatted
from prx.channels.outlet import Outlet, whole
from prx.channels.splitting import shorten, size_of, split
from prx.config.channels import ChannelConfig
from prx.core.channel import Capabilities, OutgoingMessage
from prx.core.file import File
from prx.core.message import Approval
from prx.core.talk import Turn
from prx.core.text import well_formed
from prx.runtime.store import Store

_MAX_PARTS: Final = 10
"""An answer of more is a file, where the platform takes one."""
_MOST_PARTS: Final = 50
_CUT_OFF: Final = (
    "The daemon was stopped while this was being answered, and had begun to act. "
    "Look at what it did, then write again."
)
_GOES_ON: Final = " …"
_LEAST_LENGTH: Final = 64
"""Shorter than this no text is made for what formatting adds."""


class Reply:
    """What is said to one message."""

    def __init__(self, entry: Entry, outlet: Outlet, store: Store, config: ChannelConfig) -> None:
        """Have said as much as `entry` knows of."""
        self._entry = entry
        self._outlet = outlet
        self._store = store
        self._config = config
        self._draft = entry.draft
        self._acted = False

    def shown(self, turn: Turn) -> AbstractAsyncContextManager[None]:
        """Show for the length of the block that an answer comes about."""
        return _meanwhile(self._outlet.type_for_ever(self._entry.address.thread), self._show(turn))

    async def deliver(self, text: str) -> None:
        """Say the whole of it, or what was not said yet in an earlier life; it is noted on disk how far it came.

        Raises:
            UndeliverableError: it can never be said there.
        """
        can = await self._outlet.capabilities()
        parts = _parts(text, can)
        files: Sequence[File] = ()
        if len(parts) > _MAX_PARTS:
            parts, files = _less(text, parts, can)
        for number, part in enumerate(parts):
            if number < self._entry.sent:
                continue
            message = self._message(part, can, str(number))
            if number > 0:
                message = replace(message, reply_to=None)
            if number == len(parts) - 1:
                message = replace(message, files=files)
            noted = partial(self._note, sent=number + 1)
            await self._outlet.say(message, noted, instead_of=self._draft if number == 0 else None)

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
                    await self._note_act()
            if can is not None and can.edits and self._config.stream_mode == "edits" and text.strip():
                await self._grow(text, can)
                await asyncio.sleep(pause)

    async def _note_act(self) -> None:
        """Have the next life not begin this turn again, should this one end in its middle: its tools may have acted."""
        if not self._acted:
            self._acted = True
            await self._note(reply=_CUT_OFF)

    async def _grow(self, text: str, can: Capabilities) -> None:
        begun = _beginning(well_formed(text), can)  # so far it may end with half of a surrogate pair
        # A key of its own: under the answer's the platform would take that for a repeat of this.
        await whole(self._draft_of(self._message(begun, can, "draft")))

    async def _draft_of(self, message: OutgoingMessage) -> None:
        shown = await self._outlet.attempt(message, instead_of=self._draft)
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
            formatted=formatted(text, can.markup),
            key=None if part is None else f"{self._entry.key}-{part}",
        )

    async def _note(self, **facts: str | int) -> None:
        await self._store.run(lambda db: inbox_table.note(db, self._entry.number, **facts))


def _parts(text: str, can: Capabilities) -> list[str]:
    """Return the messages that a text becomes; each fits also once it is formatted."""
    parts = split(text, can)
    return parts if all(_fits(part, can) for part in parts) else _parts(text, _shorter(can))


def _beginning(text: str, can: Capabilities) -> str:
    """Return as much of an answer as one message takes."""
    if size_of(text, can.unit) > can.max_length:
        text = shorten(text, can, can.max_length - size_of(_GOES_ON, can.unit)) + _GOES_ON
    return text if _fits(text, can) else _beginning(text, _shorter(can))


def _fits(text: str, can: Capabilities) -> bool:
    if can.max_formatted_length is None or can.max_length < _LEAST_LENGTH:
        return True
    return size_of(formatted(text, can.markup) or text, can.unit) <= can.max_formatted_length


def _shorter(can: Capabilities) -> Capabilities:
    return replace(can, max_length=can.max_length * 3 // 4)


def _less(text: str, parts: list[str], can: Capabilities) -> tuple[list[str], Sequence[File]]:
    """Return what to say instead of very many messages: the beginning, with all of it in a file or as far as may be."""
    content = text.encode()
    if len(content) <= can.max_file_bytes:
        return parts[:1], [File(name="answer.md", media_type="text/markdown", content=content)]
    if len(parts) <= _MOST_PARTS:
        return parts, ()
    left_out = sum(map(len, parts[_MOST_PARTS:]))
    return [*parts[:_MOST_PARTS], f"[{left_out} more characters were cut off]"], ()


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
