"""Ends one part after the other in bounded time, whatever a part does."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from prx.runtime.logging import get_logger

_FORCED_SECS: Final = 0.5

_log = get_logger("daemon::endings")


async def end(
    step: str, closing: Coroutine[Any, Any, object], *, within_secs: float, forced: asyncio.Event
) -> None:
    """Run `closing` for at most `within_secs`, and shortly only once `forced` is set.

    What does not end in its time is cancelled and left behind, what fails is logged: neither keeps the next
    part from its ending.
    """
    task = asyncio.ensure_future(closing)
    hurry = asyncio.ensure_future(forced.wait())
    try:
        await asyncio.wait({task, hurry}, timeout=within_secs, return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():
            await asyncio.wait({task}, timeout=_FORCED_SECS)
    finally:
        hurry.cancel()
    if not task.done():
        task.cancel()
        _log.error("a part does not end; it is left behind", part=step, forced=forced.is_set())
    elif not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a part failed to end", part=step, exc_info=error)
