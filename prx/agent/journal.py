"""Has what a turn does on disk while it goes on."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from prx.agent import round_table
from prx.agent.draft import Draft
from prx.agent.round_table import Progress
from prx.core.errors import PrxError
from prx.runtime.logging import get_logger
from prx.runtime.store import Store

_PAUSE_SECS: Final = 0.02

_log = get_logger("agent")


class Journal:
    """Writes the rounds of one draft as they change, behind the turn's back: it waits for none of that.

    That a tool is called is queued for the store before the call: what the tool itself puts there comes later, or in
    the same transaction. What comes back follows a moment later, together with whatever else has come by then; a turn
    that has its answer before that spares the disk one sync.
    """

    def __init__(
        self, store: Store, message: int, draft: Draft, start: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        """Write what becomes of the `message` with this number; `start` owns the tasks that wait for the store."""
        self._store = store
        self._message = message
        self._draft = draft
        self._start = start
        self._done = 0
        """How many rounds are on disk and do not change any more."""
        self._due: asyncio.TimerHandle | None = None
        draft.notes = self

    def close(self) -> None:
        """Write nothing more: an answer that is queued from now on comes after all that was written."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def calls_begin(self) -> None:
        """See `Notes.calls_begin`."""
        self.close()
        self._write()

    def call_ended(self) -> None:
        """See `Notes.call_ended`."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_PAUSE_SECS, self._write)

    def _write(self) -> None:
        self._due = None
        try:
            answer = self._store.queue(self._job())
        except PrxError as error:
            _tell(error)
        else:
            self._start(self._written(answer, len(self._draft.rounds)))

    async def _written(self, answer: "Future[None]", rounds: int) -> None:
        try:
            await asyncio.wrap_future(answer)
            self._done = max(self._done, rounds - 1)
        except PrxError as error:
            _tell(error)

    def _job(self) -> Callable[[sqlite3.Connection], None]:
        """Return what writes the rounds as they are now."""
        draft = self._draft
        return partial(
            round_table.keep,
            message=self._message,
            first=self._done,
            rounds=[each._replace(calls=tuple(each.calls)) for each in draft.rounds[self._done :]],
            progress=Progress(draft.usage, draft.cost_usd, draft.provider, draft.model),
            content=draft.content,
        )


def _tell(error: PrxError) -> None:
    # The turn goes on: what is written next, and at last the answer, has it all.
    _log.warning("what a turn does could not be kept yet", reason=error.message)
