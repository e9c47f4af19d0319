"""The log on disk: JSON lines in files of bounded size and number, for their owner alone (0600).

A file is named after the time of its first line. One thread writes; anybody may read meanwhile. A file always ends
with a whole line: of a write that was cut short, the rest is taken away again.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from prx.core.ids import now_utc
from prx.core.unit import Problem
from prx.runtime.logging import get_logger
from prx.runtime.logs.line import head_of, moment_of

LOG_DIRECTORY: Final = "logs"
"""Where in the data directory the log is."""
_PATTERN: Final = "*.jsonl"
_TAIL_BYTES: Final = 1 << 20
_FIX: Final = "free some space, or make the directory writable for the daemon's user"

_log = get_logger("log")


def log_files(directory: Path) -> list[Path]:
    """Return the files of the log, oldest first; none where there is no such directory."""
    return sorted(directory.glob(_PATTERN))


class LogFiles:
    """Writes batches of lines. What the disk does not take is lost, counted and told, and nothing else happens."""

    def __init__(self, directory: Path, *, max_file_bytes: int, max_files: int) -> None:
        """Keep at most `max_files` files of `max_file_bytes` in `directory`, which is made when it is needed."""
        self._directory = directory
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files
        self._file: int | None = None
        self._size = 0
        self._lost = 0
        self.lost = 0
        """Lines that are missing on disk since the start."""
        self.settled_seq = 0
        """Up to this number every line is on disk, or lost."""
        self._problem: Problem | None = None
        self._lock = threading.Lock()
        """Held while a batch is written, so that `close` does not close the file under it."""

    def last_seq(self) -> int:
        """Return the number of the last line on disk, 0 where none can be read."""
        for path in reversed(log_files(self._directory)):
            with suppress(OSError):
                for line in reversed(_tail(path).split(b"\n")):
                    if (head := head_of(line)) is not None:
                        return head.seq
        return 0

    def problems(self) -> list[Problem]:
        """Return why lines are lost, until the disk takes one again."""
        problem, lost = self._problem, self._lost
        if problem is None:
            return []
        return [replace(problem, reason=f"{problem.reason}; {lost} are lost so far")]

    def write(self, lines: Sequence[bytes], dropped: int) -> None:
        """Write whole lines; `dropped` ones were lost on the way here. Blocks, never raises."""
        written = 0
        failure: OSError | None = None
        with self._lock:
            try:
                while written < len(lines):
                    count = self._fitting(lines[written:])
                    done, failure = self._append(lines[written : written + count])
                    written += done
                    if failure is not None:
                        break
            except OSError as error:
                failure = error
        missing = dropped + len(lines) - written
        self._lost += missing
        self.lost += missing
        if lines and (head := head_of(lines[-1])) is not None:
            self.settled_seq = head.seq
        if failure is not None:
            self._failed(failure)
        elif self._lost:
            self._recovered()

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            self._forget_file()

    def _fitting(self, lines: Sequence[bytes]) -> int:
        """Open the file that the first of `lines` goes into, and return how many of them do."""
        if self._file is not None and os.fstat(self._file).st_nlink == 0:
            self._forget_file()  # somebody deleted it
        if self._file is None:
            self._open_last()
        if self._file is None or (self._size and self._size + len(lines[0]) > self._max_file_bytes):
            self._open_new(lines[0])
        size, count = self._size, 0
        for line in lines:
            size += len(line)
            if count and size > self._max_file_bytes:
                break
            count += 1
        return count

    def _append(self, lines: Sequence[bytes]) -> tuple[int, OSError | None]:
        """Return how many of `lines` are in the file afterwards, and what kept out the others."""
        assert self._file is not None  # noqa: S101  # `_fitting` opened it
        data = b"".join(lines)
        rest = memoryview(data)
        failure = None
        while rest and failure is None:
            try:
                rest = rest[os.write(self._file, rest) :]
            except OSError as error:
                failure = error
        if not rest:
            self._size += len(data)
            return len(lines), None
        whole = data.rfind(b"\n", 0, len(data) - len(rest)) + 1
        self._size += whole
        os.ftruncate(self._file, self._size)
        return data.count(b"\n", 0, whole), failure

    def _open_last(self) -> None:
        """Go on in the newest file, without what a crash left of a line at its end."""
        files = log_files(self._directory)
        if not files:
            return
        tail = _tail(files[-1])
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn == len(tail) > 0:
            return
        file = os.open(files[-1], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._take(file)
        if torn:
            self._size -= torn
            os.ftruncate(file, self._size)

    def _open_new(self, first: bytes) -> None:
        self._forget_file()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = log_files(self._directory)
        # Before the new one is made: on a full disk this is what makes room.
        for path in files[: max(0, len(files) + 1 - self._max_files)]:
            path.unlink(missing_ok=True)
        head = head_of(first)
        assert head is not None  # noqa: S101  # the book makes the lines
        name = f"{moment_of(head.seq):%Y%m%dT%H%M%S.%f}Z.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._take(os.open(self._directory / name, flags, 0o600))

    def _take(self, file: int) -> None:
        self._file = file
        os.fchmod(file, 0o600)
        self._size = os.fstat(file).st_size

    def _forget_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _failed(self, error: OSError) -> None:
        self._forget_file()
        first = self._problem is None
        since = now_utc() if self._problem is None else self._problem.since
        reason = f"log lines cannot be written to {self._directory}: {error.strerror}"
        self._problem = Problem("log.files", reason, since, _FIX)
        if first:
            _log.error(
                "log lines cannot be written to disk", path=str(self._directory), reason=error.strerror
            )

    def _recovered(self) -> None:
        lost, self._lost = self._lost, 0
        reason = "they came too fast" if self._problem is None else self._problem.reason
        # First: who sees that the problem is gone finds what it cost.
        _log.warning("log lines are missing on disk", lost=lost, reason=reason)
        self._problem = None


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read(_TAIL_BYTES)
