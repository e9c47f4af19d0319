"""The pauses between the lives of one unit: they grow, and end early where there is nothing left to wait for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from prx.core.unit import Recovering, Unit
from prx.runtime.backoff import Backoff
from prx.runtime.logging import get_logger

_log = get_logger("supervisor")


class Pauses:
    """Those of one unit, one at a time."""

    def __init__(self, unit: Unit, backoff: Backoff, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Begin with the first pause of `backoff`; `sleep` is where time comes from."""
        self._unit = unit
        self._backoff = backoff
        self._sleep = sleep
        self._limit: asyncio.Timeout | None = None
        self._began = 0.0

    async def wait(self, least_secs: float) -> None:
        """Wait for the next pause.

        Where `least_secs` is 0, that is as long as nobody asked to be left alone, it ends once the unit has recovered.
        """
        self._began = asyncio.get_running_loop().time()
        secs = max(self._backoff.pause_secs(), least_secs)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._limit, self._watched(may_end_early=not least_secs):
                    await self._sleep(secs)
        finally:
            self._limit = None

    def hurry(self, least_pause_secs: float) -> None:
        """End a pause that goes on, if it has for this long already; the next one is longer all the same."""
        now = asyncio.get_running_loop().time()
        if self._limit is not None and not self._limit.expired() and now - self._began >= least_pause_secs:
            self._limit.reschedule(now)

    def forget(self) -> None:
        """Begin again with the first pause."""
        self._backoff.reset()

    @asynccontextmanager
    async def _watched(self, *, may_end_early: bool) -> AsyncIterator[None]:
        """Have the pause end, and the next one be the first again, as soon as the unit tells that it has recovered."""
        if not may_end_early or not isinstance(self._unit, Recovering):
            yield
            return
        watch = asyncio.create_task(self._until_recovered(self._unit))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _until_recovered(self, unit: Recovering) -> None:
        try:
            await unit.recovered()
        except Exception as error:  # noqa: BLE001  # the supervisor is where a unit's failures end: it pauses to the end
            _log.error("a unit cannot tell whether it has recovered", unit=unit.name, exc_info=error)
        else:
            self.forget()
            self.hurry(0)
