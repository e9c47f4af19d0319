"""Searches the files of the log, over restarts and rotations, in bounded time."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from prx.core.errors import UnavailableError
from prx.runtime.logs.files import log_files
from prx.runtime.logs.index import Block, Segment
from prx.runtime.logs.line import Key, LogLine
from prx.runtime.logs.query import LogQuery

_LEAST_BLOCK_BYTES: Final = 32 * 1024
_MAX_BLOCKS: Final = 4096
_SEARCH_SECS: Final = 30.0
_FOLLOWED_BYTES: Final = 64 * 1024


class LogPage(NamedTuple):
    """Some of the lines that match, oldest first."""

    lines: list[LogLine]
    total: int
    """How many match, on this page or not."""


class LogArchive:
    """The files of one directory. Everything here blocks and is for one thread at a time."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """Look at nothing yet; the files have about `max_bytes` together, so that the index stays small."""
        self._directory = directory
        self._block_bytes = max(_LEAST_BLOCK_BYTES, max_bytes // _MAX_BLOCKS)
        self._segments: dict[str, Segment] = {}

    def search(
        self,
        query: LogQuery,
        *,
        limit: int,
        offset: int = 0,
        newer: Callable[[int], Sequence[LogLine]] = lambda _: (),
    ) -> LogPage:
        """Return the newest `limit` lines that match, without the `offset` newest of all.

        Args:
            query: which lines.
            limit: how many to return at most.
            offset: how many of the newest to leave out.
            newer: gives the lines after a number that are not on disk yet.

        Raises:
            UnavailableError: it takes too long; the index is kept, so that the next search gets further.
            OSError: a file cannot be read.
        """
        check = _deadline()
        wants = query.keys()
        found: list[LogLine] = []
        total = 0

        def take(lines: Sequence[LogLine]) -> None:
            # Counted from the newest line on, as `offset` is.
            first, past = max(0, offset - total), max(0, offset + limit - total)
            found.extend(lines[::-1][first:past])

        def is_shown(count: int) -> bool:
            return count > 0 and offset - count < total < offset + limit

        self._refresh(check)
        unwritten = [line for line in newer(self._last_seq()) if query.reaches(line) and wants(line.key)]
        take(unwritten)
        total += len(unwritten)
        for segment, whole in reversed(self._reached(query)):
            check()
            count = whole.count(wants)
            if not count or (_is_whole(whole, query) and not is_shown(count)):
                total += count
                continue
            for block in reversed(segment.blocks):
                if not (_reaches(block, query) and (count := block.count(wants))):
                    continue
                if is_shown(count) or not _is_whole(block, query):
                    check()
                    lines = _matching(segment, block, query, wants)
                    count = len(lines)
                    take(lines)
                total += count
        return LogPage(found[::-1], total)

    def next_after(self, query: LogQuery, limit: int) -> list[LogLine]:
        """Return the oldest lines that match, at most `limit` of them and about 64 KiB.

        Raises:
            UnavailableError, OSError: as `search`.
        """
        check = _deadline()
        wants = query.keys()
        found: list[LogLine] = []
        size = 0
        self._refresh(check)
        for segment, _ in self._reached(query):
            for block in segment.blocks:
                if not (_reaches(block, query) and block.count(wants)):
                    continue
                check()
                for line in _matching(segment, block, query, wants):
                    if len(found) == limit or size > _FOLLOWED_BYTES:
                        return found
                    found.append(line)
                    size += len(line.body)
        return found

    def _refresh(self, check: Callable[[], None]) -> None:
        paths = log_files(self._directory)
        self._segments = {
            path.name: self._segments.get(path.name) or Segment(path, self._block_bytes) for path in paths
        }
        for segment in list(self._segments.values()):
            try:
                segment.catch_up(check)
            except FileNotFoundError:  # rotated away
                del self._segments[segment.path.name]

    def _last_seq(self) -> int:
        wholes = (segment.whole for segment in self._segments.values())
        return max((whole.lines.last_seq for whole in wholes if whole is not None), default=0)

    def _reached(self, query: LogQuery) -> list[tuple[Segment, Block]]:
        """Return the files that may hold a line that is late enough, oldest first, with all of each as one block."""
        return [
            (segment, segment.whole)
            for segment in self._segments.values()
            if segment.whole is not None and _reaches(segment.whole, query)
        ]


def _reaches(block: Block, query: LogQuery) -> bool:
    """Tell whether a line of the block may be late enough."""
    return block.lines.last_seq > query.after and block.lines.last_time >= query.since


def _is_whole(block: Block, query: LogQuery) -> bool:
    """Tell whether every line of the block is late enough."""
    return block.lines.first_seq > query.after and block.lines.first_time >= query.since


def _matching(segment: Segment, block: Block, query: LogQuery, wants: Callable[[Key], bool]) -> list[LogLine]:
    return [line for line in segment.lines(block, wants) if query.reaches(line)]


def _deadline() -> Callable[[], None]:
    ends = time.monotonic() + _SEARCH_SECS

    def check() -> None:
        if time.monotonic() > ends:
            raise UnavailableError(
                f"the log was not searched within {_SEARCH_SECS:g} s: try again, or ask for less of it"
            )

    return check
