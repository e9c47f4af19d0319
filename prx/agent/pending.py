"""A user's message on its way to an answer: what waits for it, joins it, follows it and cancels it meets here."""

import asyncio
from typing import Any

from prx.agent.feed import Feed
from prx.agent.message_table import Accepted
from prx.core.errors import PrxError
from prx.core.message import Answer, Failure, Message


class Pending:
    """One message with its turn. Whoever waits for it may leave; only `cancel` ends the turn."""

    def __init__(self, message: Message, request_id: str | None = None, key: str | None = None) -> None:
        """Stand for a message that was sent, and is not taken yet."""
        self.message = message
        """As it is kept: another one than was sent where that was there before under the same key."""
        self.sent = message.content
        self.key = key
        self.request_id = request_id
        self.feed = Feed()
        self.taken: Accepted | None = None
        self.stopped: Failure | None = None
        """Why the turn was cancelled, if it was."""
        self._work: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[None] = loop.create_future()
        self._answer: asyncio.Future[Answer] = loop.create_future()
        for future in (self._accepted, self._answer):
            future.add_done_callback(_seen)

    async def accepted(self) -> None:
        """Wait until the message is on disk.

        Raises:
            PrxError: it was refused.
        """
        await asyncio.shield(self._accepted)

    async def answer(self) -> Answer:
        """Wait for the answer, which is on disk then; where the turn failed it has an `error`.

        Raises:
            UnavailableError: the store could not keep it.
        """
        return await asyncio.shield(self._answer)

    def take(self, accepted: Accepted) -> None:
        """Note that the message is on disk, and its answer too where it was there already."""
        self.taken = accepted
        self.message = accepted.message
        if accepted.answer is not None:
            self.resolve(accepted.answer)
        self._accepted.set_result(None)

    def refuse(self, error: BaseException) -> None:
        """Note that the message was not taken."""
        self._accepted.set_exception(error)

    def works(self, work: asyncio.Task[None]) -> None:
        """Note what does the turn's work."""
        self._work = work
        if self.stopped is not None:
            work.cancel()

    def cancel(self, why: Failure) -> None:
        """End the turn's work; what came of it until then is kept."""
        self.stopped = self.stopped or why
        if self._work is not None:
            self._work.cancel()

    def resolve(self, answer: Answer) -> None:
        """Tell everybody the answer."""
        self._answer.set_result(answer)
        self.feed.tell("done" if answer.error is None else "error", answer, last=True)

    def lose(self, error: BaseException) -> None:
        """Tell everybody that there is no answer that could be kept."""
        if not self._accepted.done():
            self._accepted.set_exception(error)
        if not self._answer.done():
            self._answer.set_exception(error)
            known = (
                error
                if isinstance(error, PrxError)
                else PrxError("Internal error; the daemon's log has more")
            )
            self.feed.tell("error", Failure(known.code, known.message), last=True)


def _seen(future: "asyncio.Future[Any]") -> None:
    """Have a failure count as seen: perhaps nobody waits for it any more."""
    if not future.cancelled():
        future.exception()
