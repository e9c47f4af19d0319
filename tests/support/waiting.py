"""Waiting for a state, bounded: for what a test cannot be told of by an event."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_SECS = 60.0
"""How long what has to come may take on a machine that is busy with everything else: a bound, and no expectation."""
_STEP_SECS = 0.01


async def eventually(condition: Callable[[], object], *, within_secs: float = PATIENCE_SECS) -> None:
    """Return once `condition()` is true.

    Raises:
        TimeoutError: it was not within `within_secs`.
    """
    async with asyncio.timeout(within_secs):
        while not condition():  # noqa: ASYNC110  # see below
            # The one place where tests sleep: a file system, a thread or a process tells nobody that it is done.
            await asyncio.sleep(_STEP_SECS)


def wait_until(condition: Callable[[], object], *, within_secs: float = PATIENCE_SECS) -> None:
    """Do as `eventually`, for tests of processes; asks ten times a second.

    Raises:
        TimeoutError: as `eventually`.
    """
    deadline = time.monotonic() + within_secs
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {within_secs:g} s")
        time.sleep(10 * _STEP_SECS)
