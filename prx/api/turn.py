"""What is done once for all requests that one turn of the event loop brought."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Turn:
    """Belongs to one event loop.

    The loop calls what it was given in the order in which it was given it, and reads from connections in between turns.
    So whoever acts on what is read later finds a new turn: what the first one of a turn saw was there after all of the
    turn's requests had been read.
    """

    def __init__(self) -> None:
        """Be before the first turn."""
        self._begun = False

    def begins(self) -> bool:
        """Tell whether nobody has asked in this turn yet."""
        if self._begun:
            return False
        self._begun = True
        asyncio.get_running_loop().call_soon(self._end)
        return True

    def _end(self) -> None:
        self._begun = False


class Shared(Generic[_T]):
    """A value that is made once for all who ask for it in the same turn.

    Each gets one that was made after its request had been read, as if it had been made for it alone.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        """Have `make` called when somebody asks, at most once in a turn; it belongs to the event loop."""
        self._turn = Turn()
        self._make = make
        self._made: list[_T] = []

    def get(self) -> _T:
        """Return the value; raises what `make` raises, and has the next one try again."""
        if self._turn.begins():
            self._made.clear()
        if not self._made:
            self._made.append(self._make())
        return self._made[0]
