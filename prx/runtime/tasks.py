"""Background work with an owner: nothing that was started is forgotten, and all of it ends with the owner."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from prx.core.errors import PrxError
from prx.runtime.logging import Logger

T = TypeVar("T")


class Tasks:
    """The tasks of one owner. What fails in them is logged; a refusal only where nobody waits for it who could tell."""

    def __init__(self, log: Logger, on_end: Callable[[], None]) -> None:
        """Log failures to `log`; `on_end` is called after each task."""
        self._log = log
        self._on_end = on_end
        self._running: set[asyncio.Task[Any]] = set()
        self._awaited: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do `work` in a task of its own."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` to its end, even if the caller goes away meanwhile."""
        task = self.start(work)
        self._awaited.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._awaited.discard(task)
            raise

    async def aclose(self) -> None:
        """Cancel what still runs and wait for its end."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        awaited = task in self._awaited
        self._awaited.discard(task)
        self._on_end()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, PrxError):
            if not awaited:
                self._log.warning("work in the background was refused", reason=error.message)
        elif error is not None:
            self._log.error("work in the background failed", exc_info=error)
