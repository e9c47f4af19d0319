"""A cheap signal that something changed: a number that grows, and a way to wait until it has."""

import asyncio


class Changes:
    """Counts changes of one thing; costs nothing where nobody waits. Belongs to one event loop."""

    def __init__(self) -> None:
        """Start at 0."""
        self.number = 0
        """How many there were; equal numbers mean that nothing changed in between."""
        self._waiting: asyncio.Event | None = None

    def mark(self) -> None:
        """Tell that it changed."""
        self.number += 1
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    async def after(self, number: int) -> int:
        """Wait until there was a change after `number`, and return the number then; many may have become one."""
        while self.number == number:
            if self._waiting is None:
                self._waiting = asyncio.Event()
            await self._waiting.wait()
        return self.number
