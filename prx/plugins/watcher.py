"""When to look at the plugins directory again: told by the file system, and every few seconds all the same."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from prx.plugins.notices import Notices
from prx.runtime.logging import get_logger

log = get_logger("plugins::watcher")

_FIRST_LOOK_SECS = 0.5
_POLL_SECS = 5.0
_REWATCH_SECS = 5.0
"""After which a directory that took the place of the watched one is noticed, and watching is tried anew."""


async def changes(directory: Path, again: asyncio.Event, *, watch: bool) -> AsyncGenerator[bool, None]:
    """Yield whenever `directory` may have changed, when `again` is set, and every 5 seconds.

    What is yielded tells whether to look at the directory; without `watch` only `again` is a reason to. The poll
    covers file systems that give no notice, and a directory that is not there yet.
    """
    noticed = asyncio.Event()
    # No task group: it makes an error of a consumer's leaving while it has the turn.
    watcher = asyncio.ensure_future(_watch(directory, noticed)) if watch else None
    # Watching begins a moment after the caller's own first scan: what came in between is seen soon after.
    wait_secs = _FIRST_LOOK_SECS
    try:
        while True:
            tasks = [asyncio.ensure_future(event.wait()) for event in (noticed, again)]
            signs: set[asyncio.Future[Any]] = {*tasks, watcher} if watcher is not None else {*tasks}
            try:
                await asyncio.wait(signs, timeout=wait_secs, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
            if watcher is not None and watcher.done():
                watcher.result()  # it never ends but by failing
            look = watch or again.is_set()
            noticed.clear()
            again.clear()
            yield look
            wait_secs = _POLL_SECS
    finally:
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait({watcher})


async def _watch(directory: Path, noticed: asyncio.Event) -> None:
    while True:
        try:
            await _watch_as_it_is(directory, noticed)
            continue
        except OSError as error:
            # No such directory yet, or the kernel's watches are used up: the poll does the work until then.
            log.debug("no change notices for the plugins directory", path=str(directory), reason=str(error))
        await asyncio.sleep(_REWATCH_SECS)


async def _watch_as_it_is(directory: Path, noticed: asyncio.Event) -> None:
    """Set `noticed` at each change, until another directory has taken this one's place: the kernel stays with the old.

    Raises:
        OSError: there is nothing to watch, or no way to.
    """
    watched = await asyncio.to_thread(_identity, directory)
    with Notices(directory, noticed.set) as notices:
        while await asyncio.to_thread(_identity, directory) == watched:
            await notices.follow(_REWATCH_SECS)
    noticed.set()


def _identity(directory: Path) -> tuple[int, int]:
    info = directory.stat()
    return info.st_dev, info.st_ino
