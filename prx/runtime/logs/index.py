"""What stands where in one file of the log: blocks of lines, and the whole, with their times, numbers and counts.

Most of a search is answered by the counts; only blocks that hold what is shown, or are cut by a bound, are read.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prx.runtime.logs.line import Key, LogLine, Summary, from_disk, head_of, mark_of, summary_of

_CHUNK_BYTES: Final = 256 * 1024
# Where less than one in so many lines is wanted, it is looked for by its text.
_FEW_AMONG: Final = 8
_FEW_KEYS: Final = 4


class Block:
    """Neighbouring lines of a file, from offset `start` to `end`."""

    __slots__ = ("end", "lines", "start")

    def __init__(self, start: int, end: int, lines: Summary) -> None:
        """Hold what is known of its lines."""
        self.start = start
        self.end = end
        self.lines = lines

    def extend(self, end: int, more: Summary) -> None:
        """Take in the lines behind, up to offset `end`."""
        counts = dict(self.lines.counts)
        for key, count in more.counts.items():
            counts[key] = counts.get(key, 0) + count
        self.end = end
        self.lines = Summary(
            first_seq=self.lines.first_seq,
            last_seq=more.last_seq,
            first_time=min(self.lines.first_time, more.first_time),
            last_time=max(self.lines.last_time, more.last_time),
            counts=counts,
        )

    def count(self, wants: Callable[[Key], bool]) -> int:
        """Return how many lines have a key that `wants` says yes to."""
        return sum(count for key, count in self.lines.counts.items() if wants(key))


class Segment:
    """One file and its blocks, as far as it was looked at."""

    def __init__(self, path: Path, block_bytes: int) -> None:
        """Look at nothing yet; a block has about `block_bytes`."""
        self.path = path
        self.whole: Block | None = None
        """What is known of all its lines together; None while it has none."""
        self.blocks: list[Block] = []
        self._block_bytes = block_bytes
        self._seen = 0

    def catch_up(self, check: Callable[[], None]) -> None:
        """Take in what was written since the last time; `check` is called now and then, and may raise.

        Raises:
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < self._seen:  # not the file that it was
                self.whole = None
                self.blocks.clear()
                self._seen = 0
            while self._seen < size:
                check()
                file.seek(self._seen)
                chunk = file.read(_CHUNK_BYTES)
                whole = chunk.rfind(b"\n") + 1
                if not whole and len(chunk) < _CHUNK_BYTES:
                    return  # a line that is being written
                # What has no end within so many bytes is no line: it is passed over.
                self._take_in(chunk[: whole or len(chunk)])

    def lines(self, block: Block, wants: Callable[[Key], bool]) -> list[LogLine]:
        """Read the lines of a block that `wants` says yes to; none where the file has gone meanwhile."""
        try:
            with self.path.open("rb") as file:
                file.seek(block.start)
                data = file.read(block.end - block.start)
        except FileNotFoundError:
            return []
        counts = block.lines.counts
        keys = [key for key in counts if wants(key)]
        if len(keys) <= _FEW_KEYS and block.count(wants) * _FEW_AMONG < sum(counts.values()):
            found = [line for key in keys for line in _lines_of(key, data)]
            return sorted(found, key=lambda line: line.seq)
        return [
            from_disk(line, head)
            for line in data.split(b"\n")
            if (head := head_of(line)) is not None and wants(head.key)
        ]

    def _take_in(self, data: bytes) -> None:
        """Put whole lines into the last block, as far as it has room, and into new ones."""
        at = 0
        while at < len(data):
            last = self.blocks[-1] if self.blocks else None
            room = self._block_bytes if last is None else self._block_bytes - (last.end - last.start)
            if room <= 0:
                last, room = None, self._block_bytes
            past = data.find(b"\n", at + room - 1) + 1 or len(data)
            found = summary_of(data[at:past])
            if found is not None:
                self._note(last, self._seen + at, self._seen + past, found)
            at = past
        self._seen += len(data)

    def _note(self, last: Block | None, start: int, end: int, found: Summary) -> None:
        """Add lines to the `last` block or, without one, to a new one, and to the whole."""
        if last is None:
            self.blocks.append(Block(start, end, found))
        else:
            last.extend(end, found)
        if self.whole is None:
            self.whole = Block(start, end, found)
        else:
            self.whole.extend(end, found)


def _lines_of(key: Key, data: bytes) -> Iterator[LogLine]:
    """Yield the lines with this key, without looking at the others."""
    mark = mark_of(key)
    at = 0
    while (hit := data.find(mark, at)) >= 0:
        start = data.rfind(b"\n", 0, hit) + 1
        at = data.index(b"\n", hit)  # blocks end with a whole line
        line = data[start:at]
        # The same text may stand further behind, in the context of another line.
        if (head := head_of(line)) is not None and head.key == key:
            yield from_disk(line, head)
