"""Time limits for requests: one timer for all of them, where one for each costs more than the rest of the edge."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class DeadlineError(Exception):
    """Work took longer than it was given, and was cancelled."""


class Deadlines:
    """Cancels what takes too long. Belongs to one event loop; holds nothing once nothing runs."""

    def __init__(self) -> None:
        """Start with nothing to watch."""
        self._due: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, secs: float, work: Callable[[_In], Awaitable[_Out]], given: _In) -> _Out:
        """Return what `work(given)` returns, if it takes at most `secs`. A task may be here only once.

        Raises:
            DeadlineError: it took longer, and was cancelled.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        loop = asyncio.get_running_loop()
        due = loop.time() + secs
        self._due[task] = due
        if self._timer is None or due < self._timer.when():
            self._arm(loop, due)
        try:
            return await work(given)
        except asyncio.CancelledError:
            # Another cancellation beside this one, such as the client's leaving, goes on as what it is.
            if task in self._expired and task.cancelling() == 1:
                raise DeadlineError from None
            raise
        finally:
            self._due.pop(task, None)
            if task in self._expired:
                self._expired.remove(task)
                task.uncancel()

    def lift(self) -> None:
        """Let the current task go on for as long as it likes: its answer has become a stream."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - as above
        self._due.pop(task, None)

    def end_all(self) -> None:
        """Cancel everything whose time runs, as if that were over."""
        for task in self._due.keys() - self._expired:
            self._expired.add(task)
            task.cancel()

    def _arm(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(due, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        running = {task: due for task, due in self._due.items() if task not in self._expired}
        for task, due in running.items():
            if due <= now:
                self._expired.add(task)
                task.cancel()
        if later := [due for due in running.values() if due > now]:
            self._arm(loop, min(later))
