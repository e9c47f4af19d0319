"""Tells the tasks of an event loop, from any thread, that there is news: once for all that comes in a moment."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_PAUSE_SECS: Final = 0.05
_PAUSE_FOR_EACH_SECS: Final = 0.002
"""Many are woken less often than few, so that together they cost no more."""
_AT_ONCE: Final = 16
"""How many are woken in one step of the loop: others have their turn in between."""


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
            pause = _PAUSE_SECS + _PAUSE_FOR_EACH_SECS * len(self._waiting)
            with suppress(RuntimeError):  # the loop has ended, and so has everybody who waited
                self._loop.call_soon_threadsafe(self._loop.call_later, pause, self._wake)

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
        self._wake_some(list(self._waiting))

    def _wake_some(self, waiting: list[asyncio.Future[None]]) -> None:
        for waiter in waiting[:_AT_ONCE]:
            if not waiter.done():
                waiter.set_result(None)
        if (later := waiting[_AT_ONCE:]) and self._loop is not None:
            self._loop.call_soon(self._wake_some, later)
