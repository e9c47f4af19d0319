"""What a channel's adapter does: it holds one connection to one chat platform."""

from collections.abc import Callable
from typing import Protocol


class ChannelAdapter(Protocol):
    """One connection, for one life. It never tries again by itself: the supervisor does, with its pauses."""

    async def run(self, connected: Callable[[], None]) -> None:
        """Connect, call `connected` once that is done, and hold the connection until it ends.

        Cancelling this coroutine is the only way to end it from outside; afterwards nothing of it is left.

        Raises:
            PermanentError: it cannot work before somebody changes something, such as a wrong token.
            PrxError: it could not connect, or the connection was lost; says why.
        """

    async def probe(self) -> float:
        """Make a round trip to the platform while connected, and return how many seconds it took.

        Raises:
            PrxError: there was none; says why.
        """
