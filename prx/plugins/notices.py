"""What the kernel tells of changes in a directory and all below it: at once, and at no cost while nothing changes."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from asyncinotify import Event, Inotify, Mask

# What is written is told of when it is closed, so it is whole; what is moved or linked here is whole at once.
_CHANGES = Mask.CLOSE_WRITE | Mask.ATTRIB | Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO
_NEW_DIRECTORY = Mask.CREATE | Mask.MOVED_TO
_SEVERAL_FILES_SECS = 0.01
_MAX_DIRECTORIES = 10_000
# A directory that went away, or that may not be read, is no reason to watch none.
_NOT_WATCHED = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP)


class Notices:
    """The kernel's notices for one directory, as a block. What begins with a dot in it is not looked at."""

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        """Have `changed` called on the loop, once for what changes within some milliseconds.

        Raises:
            OSError: the kernel has no more to give: `fs.inotify.max_user_instances`.
        """
        self._directory = directory
        self._changed = changed
        self._inotify = Inotify(sync_timeout=0)
        self._grown = asyncio.Event()
        self._grown.set()
        self._soon: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        if self._soon is not None:
            self._soon.cancel()
        asyncio.get_running_loop().remove_reader(self._inotify.fd)
        self._inotify.close()

    async def follow(self, for_secs: float) -> None:
        """Watch every directory there is, and those that come; return after `for_secs`, or sooner when some came.

        Raises:
            OSError: there is no such directory, or the kernel's watches are used up.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(for_secs):
                await self._grown.wait()
        if self._grown.is_set():
            self._grown.clear()
            await asyncio.to_thread(self._watch_all)
            self._tell()  # of what was put there before it was watched

    def _watch_all(self) -> None:
        self._inotify.add_watch(self._directory, _CHANGES | Mask.ONLYDIR)
        for directory, _ in zip(_below(self._directory), range(_MAX_DIRECTORIES), strict=False):
            try:
                self._inotify.add_watch(directory, _CHANGES | Mask.ONLYDIR)
            except OSError as error:
                if error.errno not in _NOT_WATCHED:
                    raise

    def _read(self) -> None:
        for event in self._inotify:
            if Mask.Q_OVERFLOW in event or (Mask.ISDIR in event and event.mask & _NEW_DIRECTORY):
                self._grown.set()
            if self._concerns_a_plugin(event):
                self._tell()

    def _concerns_a_plugin(self, event: Event) -> bool:
        if event.watch is None or event.name is None:
            return False
        name = str(event.name)
        if event.watch.path == self._directory:
            return not name.startswith(".")
        return name.endswith((".wasm", ".toml", ".sig"))

    def _tell(self) -> None:
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_SEVERAL_FILES_SECS, self._tell_now)

    def _tell_now(self) -> None:
        self._soon = None
        self._changed()


def _below(directory: Path) -> Iterator[str]:
    """Give the directories in `directory`, links to some too, and all those that lie deeper."""
    with os.scandir(directory) as entries:
        found = [entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    for path in found:
        for below, _, _ in os.walk(path):
            yield below
