"""The components of kept generations on disk, by digest: written beside a load, checked when they are read."""

import asyncio
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from prx.plugins.errors import LoadError
from prx.plugins.files import MAX_WASM_BYTES, read_regular
from prx.runtime.logging import get_logger

log = get_logger("plugins::blobs")

_SUFFIX = ".wasm"
_NEW = "new-"
_MAX_WAITING = 4
_CLOSE_SECS = 5.0


class Copy:
    """The kept copy of what one load reads; nobody removes it while that load is under way."""

    def __init__(self, blobs: "Blobs") -> None:
        """Hold nothing yet."""
        self._blobs = blobs
        self._digest: str | None = None
        self._writing: asyncio.Task[None] | None = None

    async def take(self, digest: str, component: bytes) -> None:
        """Begin to write `component` unless it is there; waits only while several others are being written."""
        self._digest = digest
        self._blobs.hold(digest)
        if not self._blobs.is_written(digest):
            self._writing = await self._blobs.write_soon(digest, component)

    @property
    def is_new(self) -> bool:
        """Whether anything had to be written."""
        return self._writing is not None

    async def written(self) -> None:
        """Wait until the copy is on disk.

        Raises:
            OSError: the disk refuses.
        """
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def let_go(self) -> None:
        """Leave the copy to those who refer to it."""
        if self._digest is not None:
            self._blobs.release(self._digest)
            self._digest = None


class Blobs:
    """One directory of components. One at a time is written or removed, so that each is whole or not there."""

    def __init__(self, directory: Path) -> None:
        """Touch nothing yet: `open` reads the directory, and the first copy makes it."""
        self._directory = directory
        self._known: set[str] = set()
        self._held: Counter[str] = Counter()
        self._changing = asyncio.Lock()
        self._room = asyncio.Semaphore(_MAX_WAITING)
        self._writing: dict[asyncio.Task[None], str] = {}
        """What is being written, with its digest."""

    async def open(self, wanted: Collection[str]) -> None:
        """Learn what is there, and remove what is not `wanted`."""
        self._known = await asyncio.to_thread(self._list)
        await self.sweep(lambda: wanted)

    def has(self, digest: str) -> bool:
        """Tell whether the component of this SHA-256 is kept, or is just being written: `read` waits for that."""
        return digest in self._known or digest in self._writing.values()

    def is_written(self, digest: str) -> bool:
        """Tell whether the component of this SHA-256 is on disk."""
        return digest in self._known

    @contextmanager
    def copying(self) -> Iterator[Copy]:
        """Give the copy of one load, which is held for the length of the block."""
        copy = Copy(self)
        try:
            yield copy
        finally:
            copy.let_go()

    def hold(self, digest: str) -> None:
        """Keep `digest` from being removed until `release`."""
        self._held[digest] += 1

    def release(self, digest: str) -> None:
        """Undo one `hold`."""
        self._held[digest] -= 1
        if not self._held[digest]:
            del self._held[digest]

    async def write_soon(self, digest: str, component: bytes) -> asyncio.Task[None]:
        """Write in a task of its own; `aclose` ends those that are left."""
        await self._room.acquire()
        writing = asyncio.get_running_loop().create_task(self._write(digest, component))
        self._writing[writing] = digest
        writing.add_done_callback(self._wrote)
        return writing

    async def read(self, digest: str) -> bytes:
        """Return a component as it was when it was kept; waits while it is being written.

        Raises:
            LoadError: its copy is gone or was changed.
        """
        if underway := [writing for writing, each in self._writing.items() if each == digest]:
            await asyncio.wait(underway)
        component = await asyncio.to_thread(read_regular, self._path(digest), MAX_WASM_BYTES)
        if await asyncio.to_thread(_sha256, component) != digest:
            raise LoadError(
                f"its kept copy {self._path(digest)} was changed on disk: install that version again"
            )
        return component

    async def sweep(self, wanted: Callable[[], Collection[str]]) -> None:
        """Remove every component that is neither `wanted` nor held when its turn comes: there may be more by then."""
        async with self._changing:
            unwanted = self._known.difference(wanted(), self._held)
            if unwanted:
                self._known -= unwanted
                await asyncio.to_thread(self._remove, unwanted)

    async def aclose(self) -> None:
        """Let what is being written be finished, within seconds."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=_CLOSE_SECS)
        for writing in self._writing:  # its thread leaves a temporary file at most, which `open` removes
            writing.cancel()

    async def _write(self, digest: str, component: bytes) -> None:
        async with self._changing:
            if digest not in self._known:
                await asyncio.to_thread(self._write_whole, self._path(digest), component)
                self._known.add(digest)

    def _wrote(self, writing: asyncio.Task[None]) -> None:
        self._room.release()
        del self._writing[writing]
        if not writing.cancelled():
            writing.exception()  # told by `written` to those who wait for it; a load that failed does not

    def _write_whole(self, path: Path, component: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        temporary = self._directory / f"{_NEW}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(component)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _list(self) -> set[str]:
        known = set()
        for path in self._directory.glob("*"):
            if path.name.startswith(_NEW):  # of a daemon that was killed while it wrote
                path.unlink(missing_ok=True)
            elif path.suffix == _SUFFIX:
                known.add(path.stem)
        return known

    def _remove(self, digests: Collection[str]) -> None:
        for digest in digests:
            try:
                self._path(digest).unlink(missing_ok=True)
            except OSError as error:
                log.warning("a version that is not kept any more cannot be removed", reason=str(error))

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest}{_SUFFIX}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
