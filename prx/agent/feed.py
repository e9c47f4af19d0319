"""What a turn tells while it goes on; kept until its end, so that each listener reads all of it at its own pace."""

from typing import Literal, NamedTuple

from prx.core.message import Answer, Approval, CalledTool, Failure
from prx.core.provider import ToolRequest
from prx.runtime.changes import Changes

TurnEventName = Literal["token", "tool_call", "approval", "tool_result", "done", "error"]

TurnNews = str | ToolRequest | Approval | CalledTool | Answer | Failure
"""A `token` is a piece of text; `done` has the answer, and so has an `error` that could be kept."""


class TurnEvent(NamedTuple):
    """One thing that happened in a turn."""

    name: TurnEventName
    data: TurnNews


class Feed:
    """The events of one turn. What nobody has read yet is kept as little as possible: pieces of text become one."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self._events: list[TurnEvent] = []
        self._pieces: list[str] = []
        self._changes = Changes()
        self._ended = False

    def text(self, piece: str) -> None:
        """Tell of a piece of the answer's text."""
        self._pieces.append(piece)
        self._changes.mark()

    def tell(self, name: TurnEventName, data: TurnNews, *, last: bool = False) -> None:
        """Tell what happened; with `last` there is no more to tell."""
        self._settle()
        self._events.append(TurnEvent(name, data))
        self._ended = last
        self._changes.mark()

    async def after(self, number: int) -> list[TurnEvent] | None:
        """Wait for events behind the first `number` and return them; None where there will be none.

        It may be cancelled at any time and called again: nothing is lost by that.
        """
        while True:
            self._settle()
            if len(self._events) > number:
                return self._events[number:]
            if self._ended:
                return None
            await self._changes.after(self._changes.number)

    def _settle(self) -> None:
        if self._pieces:
            self._events.append(TurnEvent("token", "".join(self._pieces)))
            self._pieces.clear()
