"""Tells the tasks of an event loop, from any thread, that there is news: once for all that comes in a moment."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_PAUSE_SECS: Final = 0.05


class Bell:
    """Ringing costs next to nothing while nobody waits, and one wake-up of the loop for each moment otherwise."""

    def __init__(self) -> None:
        """Belong to the loop of the first that waits."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._rung = False

    def ring(self) -> None:
        """Wake everybody who waits, within a moment. From any thread."""
        if self._waiting and not self._rung and self._loop is not None:
            self._rung = True
            with suppress(RuntimeError):  # the loop has ended, and so has everybody who waited
                self._loop.call_soon_threadsafe(self._loop.call_later, _PAUSE_SECS, self._wake)

    async def wait(self, has_news: Callable[[], bool]) -> None:
        """Return once there is news: now, or after the bell was rung."""
        self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = self._loop.create_future()
        # First this, then the question: what comes in between rings.
        self._waiting.add(waiter)
        try:
            if not has_news():
                await waiter
        finally:
            self._waiting.discard(waiter)

    def _wake(self) -> None:
        self._rung = False
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
