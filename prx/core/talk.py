"""The agent as those see it who bring it messages from elsewhere and take its answers back."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from prx.core.message import Answer
from prx.core.session import Session


class TurnFeed(Protocol):
    """What a turn tells while it goes on."""

    async def after(self, number: int) -> Sequence[tuple[str, Any]] | None:
        """Wait for events behind the first `number` and return them, by name; None where there will be none."""


class Turn(Protocol):
    """A message that was taken, on its way to an answer."""

    @property
    def feed(self) -> TurnFeed:
        """What it tells."""

    async def answer(self) -> Answer:
        """Wait for the answer; where the turn failed it has an `error`.

        Raises:
            PrxError: it could not be kept.
        """


class Talk(Protocol):
    """Takes messages and has each answered in its turn."""

    async def post(self, session_id: str, content: str, *, key: str | None = None) -> Turn:
        """Take a message, which is on disk when this returns; under the same `key` it is there once.

        Raises:
            NotFoundError: there is no such session.
            ConflictError: the session takes no more messages.
            PrxError: it is refused; says why.
        """

    def cancel(self, session_id: str) -> bool:
        """Cancel the turns of a session, those that wait too; tell whether there were any."""


class SessionBook(Protocol):
    """Begins sessions and knows them."""

    async def create(self, channel: str, user_id: str, metadata: Mapping[str, Any]) -> Session:
        """Begin a session.

        Raises:
            UnavailableError: none can begin now.
        """

    async def get(self, session_id: str) -> Session:
        """Return a session.

        Raises:
            NotFoundError: there is none with this id.
        """

    async def terminate(self, session_id: str) -> None:
        """End a session.

        Raises:
            NotFoundError, ConflictError: there is none to end.
        """
