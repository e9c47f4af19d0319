"""Lines of the log as a stream: those that were missed from disk, the others from memory as they come.

Readers share what is made of the lines: a line is encoded once, and lines that several readers with the same filter
wait for are put together once.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from prx.api.sse import dropped, frame
from prx.runtime.logs.book import LogBook
from prx.runtime.logs.line import Key, LogLine
from prx.runtime.logs.query import LogQuery

_MAX_BATCHES: Final = 64
_BATCH_BYTES: Final = 64 * 1024
_SETTLING_SECS: Final = 0.05
_MAX_MISSED: Final = 10_000
"""How many lines a reader that comes back is sent at most; of the others it is told how many they were."""


@dataclass(frozen=True, slots=True)
class _Batch:
    frames: bytes
    last_seq: int
    count: int


class LogFeed:
    """The log book for readers of streams."""

    def __init__(self, book: LogBook) -> None:
        """Hold nothing yet."""
        self.book = book
        self._batches: OrderedDict[LogQuery, _Batch] = OrderedDict()

    def new(self, query: LogQuery, wants: Callable[[Key], bool]) -> _Batch | None:
        """Return lines behind `query.after`; None where some have gone from memory already."""
        batch = self._batches.get(query)
        if batch is None:
            lines = self.book.in_memory_after(query.after)
            if lines is None:
                return None
            batch = _batch(lines, wants, query.after)
            if batch.last_seq > query.after:
                self._batches[query] = batch
                if len(self._batches) > _MAX_BATCHES:
                    self._batches.popitem(last=False)
        return batch


class LogSource:
    """What one reader is told; see `prx.api.sse.Source`."""

    def __init__(
        self, feed: LogFeed, query: LogQuery, *, resume: int | None = None, earlier: int = 0
    ) -> None:
        """Tell what matches `query` from now on.

        Args:
            feed: the lines.
            query: which of them.
            resume: the number of the last line that the reader has; it is told what it missed.
            earlier: how many of the newest lines to tell first, where it does not resume.
        """
        self._feed = feed
        self._book = feed.book
        self._query = query
        self._wants = query.keys()
        self._resume = resume
        self._earlier = earlier
        self._now = self._book.last_seq
        self._after: int | None = None
        self._counted = 0
        """How many lines that the reader wants were in memory up to `_after`."""
        self._on_disk = True

    async def next_frames(self) -> bytes:
        """See `Source.next_frames`."""
        if self._after is None:
            return await self._begin()
        if self._on_disk:
            return await self._missed(self._after)
        after = self._after
        await self._book.bell.wait(lambda: self._book.last_seq > after)
        return self._new(after)

    async def _begin(self) -> bytes:
        """Find out behind which line to begin; tell how many are left out."""
        after, lost = self._now, 0
        if self._resume is not None and self._resume < self._now:
            after = self._resume
            if after < self._book.passed(self._wants)[0]:
                page = await self._book.search(self._query.behind(after), limit=1, offset=_MAX_MISSED - 1)
                after = page.lines[0].seq - 1 if page.lines else after
                lost = max(0, page.total - _MAX_MISSED)
        elif self._resume is None and self._earlier:
            page = await self._book.search(self._query, limit=self._earlier)
            after = page.lines[0].seq - 1 if page.lines else after
        self._after = after
        return dropped(lost) if lost else b""

    async def _missed(self, after: int) -> bytes:
        """Return lines that are no longer in memory; none where all are."""
        floor, _ = self._book.passed(self._wants)
        if after < floor:
            lines = await self._book.on_disk_after(self._query.behind(after))
            if lines:
                self._after = lines[-1].seq
                return _frames(lines)
            if not self._book.is_settled(floor):
                await asyncio.sleep(_SETTLING_SECS)
                return b""
            after = floor
        self._on_disk = False
        self._after, self._counted = self._book.passed(self._wants, after)
        return b""

    def _new(self, after: int) -> bytes:
        """Return lines from memory, after how many were forgotten before the reader took them."""
        batch = self._feed.new(self._query.behind(after), self._wants)
        if batch is None:
            self._after, counted = self._book.passed(self._wants)
            lost, self._counted = counted - self._counted, counted
            return dropped(lost) if lost else b""
        self._after = batch.last_seq
        self._counted += batch.count
        return batch.frames


def _batch(lines: Sequence[LogLine], wants: Callable[[Key], bool], after: int) -> _Batch:
    wanted: list[LogLine] = []
    size = 0
    for line in lines:
        if size > _BATCH_BYTES:
            break
        after = line.seq
        if wants(line.key):
            wanted.append(line)
            size += len(line.body)
    return _Batch(_frames(wanted), after, len(wanted))


def _frames(lines: Sequence[LogLine]) -> bytes:
    return b"".join(frame("log", line.body, line.seq) for line in lines)
