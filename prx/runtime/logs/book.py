"""The log book of the daemon: takes every line, from any thread and without waiting, and lets readers find it."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from prx.core.errors import UnavailableError
from prx.core.metric import Metric, counter
from prx.core.unit import Problem
from prx.runtime.log_writer import LogWriter
from prx.runtime.logging import get_logger
from prx.runtime.logs.archive import LogArchive, LogPage
from prx.runtime.logs.bell import Bell
from prx.runtime.logs.files import LogFiles
from prx.runtime.logs.line import Key, LogLine
from prx.runtime.logs.query import LogQuery
from prx.runtime.logs.ring import LogRing
from prx.runtime.tasks import Tasks

T = TypeVar("T")

_MAX_WAITING: Final = 64
_FOLLOWED_LINES: Final = 256

_log = get_logger("log")


class LogBook:
    """Numbered lines, on disk and the newest in memory too."""

    def __init__(self, directory: Path, *, max_file_bytes: int, max_files: int) -> None:
        """Go on behind the last line in `directory`; start the writer. Blocks on the file system."""
        self._files = LogFiles(directory, max_file_bytes=max_file_bytes, max_files=max_files)
        self._archive = LogArchive(directory, max_file_bytes * max_files)
        self._lock = threading.Lock()
        self._first_seq = self._last_seq = self._files.last_seq()
        self._ring = LogRing(self._first_seq)
        self._writer = LogWriter("prx-log-files", self._files.write)
        self._searching = asyncio.Lock()
        self._waiting = 0
        self._tasks = Tasks(_log, lambda: None)
        self.bell = Bell()
        """Rung when there are new lines."""

    def put(self, key: Key, timestamp: str, body: bytes) -> None:
        """Take a line: a JSON object that begins with timestamp, level and module. From any thread, never blocks."""
        with self._lock:
            self._last_seq = max(self._last_seq + 1, time.time_ns() // 1000)
            line = LogLine(self._last_seq, timestamp.encode(), key, body)
            self._ring.append(line)
            self._writer.put(line.on_disk())
        self.bell.ring()

    def problems(self) -> list[Problem]:
        """Return why lines do not reach the disk, until they do again."""
        return self._files.problems()

    def metrics(self) -> list[Metric]:
        """Return how many lines were lost; see `MetricSource`."""
        return [counter("prx_log_lines_lost", "Log lines that are missing on disk", self._files.lost)]

    async def search(self, query: LogQuery, *, limit: int, offset: int = 0) -> LogPage:
        """Return the newest `limit` lines that match, without the `offset` newest of all, oldest first.

        Raises:
            UnavailableError: too many searches wait, or it takes too long.
        """
        return await self._in_turn(
            lambda: self._archive.search(query, limit=limit, offset=offset, newer=self._after)
        )

    async def on_disk_after(self, query: LogQuery) -> list[LogLine]:
        """Return the oldest lines on disk that match, some at a time; none at the end.

        Raises:
            UnavailableError: as `search`.
        """
        return await self._in_turn(lambda: self._archive.next_after(query, _FOLLOWED_LINES))

    def is_settled(self, seq: int) -> bool:
        """Tell whether the lines up to `seq` are on disk by now, or lost."""
        return self._files.settled_seq >= seq or seq <= self._first_seq

    @property
    def last_seq(self) -> int:
        """The number of the newest line."""
        return self._last_seq

    def in_memory_after(self, seq: int) -> list[LogLine] | None:
        """Return the lines behind number `seq`, oldest first, some at a time; None where some have gone already."""
        with self._lock:
            return None if seq < self._ring.floor else self._ring.after(seq, _FOLLOWED_LINES)

    def passed(self, wants: Callable[[Key], bool], seq: int = 0) -> tuple[int, int]:
        """Return the number of the last line that has gone from memory, or `seq` where that is later.

        With it comes how many lines up to there were ever in memory, of those with a key that `wants` says yes to.
        """
        with self._lock:
            seq = max(seq, self._ring.floor)
            return seq, self._ring.count_to(seq, wants)

    async def aclose(self) -> None:
        """End what still searches; lines are taken on."""
        await self._tasks.aclose()

    def close(self, timeout_secs: float = 2.0) -> None:
        """Write what is queued, for at most `timeout_secs`; later lines are dropped. Blocks."""
        if self._writer.close(timeout_secs):
            self._files.close()

    def _after(self, seq: int) -> list[LogLine]:
        with self._lock:
            return self._ring.after(seq)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread, one after the other, whoever of those who asked has left meanwhile."""
        if self._waiting >= _MAX_WAITING:
            raise UnavailableError(f"{_MAX_WAITING} searches of the log wait already: try again")
        return await self._tasks.whole(self._alone(work))

    async def _alone(self, work: Callable[[], T]) -> T:
        self._waiting += 1
        try:
            async with self._searching:
                return await asyncio.to_thread(work)
        except OSError as error:
            raise UnavailableError(f"the log cannot be read: {error.strerror}") from error
        finally:
            self._waiting -= 1
