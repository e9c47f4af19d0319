"""A small file for its owner alone (0600): read whole, replaced whole, written by one process at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from prx.core.errors import PrxError, UnavailableError

_LOCK_POLL_SECS: Final = 0.02
_FOR_OTHERS: Final = 0o077


class PrivateFile:
    """Reading takes no lock, since the file is only ever replaced; `locked` keeps other writers out."""

    def __init__(self, path: Path, *, max_bytes: int, lock_wait_secs: float = 5.0) -> None:
        """Stand for the file at `path`, which need not exist yet."""
        self.path = path
        self._lock_wait_secs = lock_wait_secs
        self._max_bytes = max_bytes

    def read(self) -> bytes | None:
        """Return the content, or None where there is no file.

        Raises:
            PrxError: it cannot be read, is too large, or others may read it too.
        """
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(self._max_bytes + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PrxError(f"{self.path}: cannot be read: {error.strerror}") from error
        if mode & _FOR_OTHERS:
            raise PrxError(f"{self.path}: others may read or write it: chmod 600 {self.path}")
        if len(content) > self._max_bytes:
            raise PrxError(f"{self.path}: it is larger than {self._max_bytes} bytes, which PRX never writes")
        return content

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out for the length of the block, in this process and in others. Blocks.

        Raises:
            UnavailableError: another one kept the lock for `lock_wait_secs`.
            PrxError: the directory cannot be written.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _opened_lock(self.path.with_suffix(".lock"))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._acquire(lock)
            yield
        finally:
            os.close(lock)

    def replace(self, content: bytes) -> None:
        """Write `content`, on disk before this returns; a crash leaves the old or the new. Hold the lock.

        Raises:
            PrxError: it is too large.
            UnavailableError: it cannot be written.
        """
        if len(content) > self._max_bytes:
            raise PrxError(
                f"{self.path}: would be larger than {self._max_bytes} bytes: remove what nobody needs"
            )
        temporary = self.path.with_suffix(f"{self.path.suffix}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            temporary.unlink(missing_ok=True)  # of a writer that crashed
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                _leave_to_owner(file.fileno(), self.path.parent)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            with suppress(OSError):  # on a full disk it would keep what little room there is
                temporary.unlink(missing_ok=True)
            raise self._unwritable(error) from error

    def _acquire(self, lock: int) -> None:
        deadline = time.monotonic() + self._lock_wait_secs
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise UnavailableError(
                        f"{self.path} stayed locked by another process for {self._lock_wait_secs:g} s: try again"
                    ) from None
                time.sleep(_LOCK_POLL_SECS)
            except OSError as error:
                raise self._unwritable(error) from error
            else:
                return

    def _unwritable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"{self.path}: cannot be written: {error.strerror}; make room or make it writable, then try again"
        )


def _opened_lock(path: Path) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    _leave_to_owner(lock, path.parent)
    return lock


def _leave_to_owner(fresh: int, directory: Path) -> None:
    """Give a file that was just made to who owns its directory: a command by root must not shut the daemon out."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(fresh, owner.st_uid, owner.st_gid)
