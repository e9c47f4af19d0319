"""Calls that are not waited for longer than they may take, whatever their thread is held by.

The engine ends what runs inside the guest. A file operation runs in the kernel, where no deadline reaches it: a guest
that opens a FIFO in a directory that it was granted, or reads from a server of files that is gone, holds its thread
as long as that lasts. Its caller is answered in time all the same; the thread comes back when the kernel lets it go.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from prx.core.errors import UnavailableError
from prx.plugins.calls import GuestError, Limits
from prx.plugins.lane import Lane

T = TypeVar("T")

# The engine's own clock comes first wherever it can.
_GRACE_SECS: Final = 1.0
_HELD: Final = (
    "the guest is held up in a file operation past its time: a FIFO, a device or a slow server of files in a directory "
    "that it was granted"
)
_ALL_HELD: Final = (
    "the plugin's threads are all held up in file operations: look for FIFOs, devices and slow servers of files in the "
    "directories that it was granted, then reload it"
)


class Attempts:
    """The jobs of one lane, each waited for as long as `limits` allow a call to run."""

    def __init__(self, lane: Lane, limits: Limits) -> None:
        """Run jobs on `lane`."""
        self._lane = lane
        self._limits = limits
        self._patience_secs = limits.max_execution_secs + _GRACE_SECS
        self._held: set[Attempt] = set()

    async def outcome(self, job: Callable[["Attempt"], T]) -> T:
        """Run `job` on the lane and return what it returns.

        Raises:
            GuestError: it is held up in a file operation.
            UnavailableError: the lane takes no job, or its threads are all held up by others.
        """
        attempt = Attempt()
        asked = time.monotonic()
        future: asyncio.Future[T] = self._lane.submit(partial(self._run, job, attempt))
        try:
            # A queue moves on, or its threads are held up: it is looked at again after each call's time.
            while not (await asyncio.wait({future}, timeout=self._left(attempt)))[0]:
                if attempt.begun is None and self._is_stuck(asked):
                    raise UnavailableError(_ALL_HELD)
                if attempt.begun is not None and self._left(attempt) <= 0:
                    self._give_up(attempt)
                    raise GuestError("timeout", _HELD)
            return future.result()
        finally:
            future.cancel()

    def _left(self, attempt: "Attempt") -> float:
        since = 0.0 if attempt.begun is None else time.monotonic() - attempt.begun
        return self._patience_secs - since

    def _is_stuck(self, asked: float) -> bool:
        all_held = len(self._held) >= self._limits.max_concurrency
        return all_held or time.monotonic() - asked > self._limits.longest_secs + _GRACE_SECS

    def _give_up(self, attempt: "Attempt") -> None:
        attempt.given_up = True
        self._held.add(attempt)
        if attempt.ended:  # just now, on its thread
            self._held.discard(attempt)

    def _run(self, job: Callable[["Attempt"], T], attempt: "Attempt") -> T:
        attempt.begun = time.monotonic()
        try:
            return job(attempt)
        finally:
            attempt.ended = True
            self._held.discard(attempt)


class Attempt:
    """One job."""

    begun: float | None = None
    """When it got its thread, on the monotonic clock."""
    ended = False
    given_up = False
    """Whether nobody waits for it any more, although it runs."""
