"""What waits for a tool or a server on behalf of clients: given up all at once when the daemon stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from prx.core.errors import UnavailableError

_Out = TypeVar("_Out")


class Stopping:
    """Whoever waits, until `stop`."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._waiting: set[asyncio.Task[Any]] = set()
        self._stopped: set[asyncio.Task[Any]] = set()

    async def wait(self, work: Coroutine[Any, Any, _Out]) -> _Out:
        """Return what `work` returns. A task may be here only once.

        Raises:
            UnavailableError: the daemon stopped meanwhile, and `work` was cancelled.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._waiting.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            # Another cancellation beside this one, such as the client's, goes on as what it is.
            if task in self._stopped and task.cancelling() == 1:
                task.uncancel()
                raise UnavailableError(
                    "The daemon stopped before this was done; it may have been done in part"
                ) from None
            raise
        finally:
            self._waiting.discard(task)
            self._stopped.discard(task)

    def stop(self) -> None:
        """Cancel the work of everybody who waits now."""
        for task in self._waiting - self._stopped:
            self._stopped.add(task)
            task.cancel()
