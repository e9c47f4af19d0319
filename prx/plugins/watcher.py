"""When to look at the plugins directory again: told by the file system, and every few seconds all the same."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from watchfiles import Change, awatch

from prx.runtime.logging import get_logger

log = get_logger("plugins::watcher")

_POLL_SECS = 5.0
_DEBOUNCE_MS = 50
_STEP_MS = 10


async def changes(directory: Path, again: asyncio.Event, *, watch: bool) -> AsyncGenerator[bool, None]:
    """Yield whenever `directory` may have changed, when `again` is set, and every 5 seconds.

    What is yielded tells whether to look at the directory; without `watch` only `again` is a reason to. The poll
    covers file systems that give no notice, and a directory that is not there yet.
    """
    noticed = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(_watch(directory, noticed)) if watch else None
        try:
            while True:
                tasks = [asyncio.ensure_future(event.wait()) for event in (noticed, again)]
                try:
                    await asyncio.wait(tasks, timeout=_POLL_SECS, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                look = watch or again.is_set()
                noticed.clear()
                again.clear()
                yield look
        finally:
            if watcher is not None:
                watcher.cancel()


async def _watch(directory: Path, noticed: asyncio.Event) -> None:
    while True:
        try:
            async for _ in awatch(
                directory, debounce=_DEBOUNCE_MS, step=_STEP_MS, watch_filter=_relevant, recursive=True
            ):
                noticed.set()
        except (OSError, RuntimeError) as error:
            # No such directory yet, or the kernel's watches are used up: the poll does the work until then.
            log.debug("no change notices for the plugins directory", path=str(directory), reason=str(error))
        await asyncio.sleep(_POLL_SECS)


def _relevant(_change: Change, path: str) -> bool:
    return path.endswith((".wasm", ".toml", ".prxplugin"))
