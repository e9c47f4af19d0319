"""What is done once for all requests that one turn of the event loop brought."""

import asyncio


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
