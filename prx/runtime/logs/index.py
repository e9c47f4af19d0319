"""What stands where in one file of the log: blocks of lines, with their times, numbers and counts.

Most of a search is answered by the counts; only blocks that hold what is shown, or are cut by a bound, are read.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prx.runtime.logs.line import Head, Key, LogLine, from_disk, head_of

_CHUNK_BYTES: Final = 256 * 1024


class Block:
    """Neighbouring lines of a file."""

    __slots__ = ("counts", "end", "first_seq", "first_time", "last_seq", "last_time", "start")

    def __init__(self, start: int, head: Head) -> None:
        """Begin at offset `start` with the line of `head`, which `add` counts."""
        self.start = self.end = start
        self.first_seq = self.last_seq = head.seq
        self.first_time = self.last_time = head.timestamp
        self.counts: dict[Key, int] = {}

    def add(self, head: Head, end: int) -> None:
        """Take in the line of `head`, which ends at offset `end`."""
        self.end = end
        self.last_seq = head.seq
        # The clock may have been set back.
        self.first_time = min(self.first_time, head.timestamp)
        self.last_time = max(self.last_time, head.timestamp)
        self.counts[head.key] = self.counts.get(head.key, 0) + 1

    def count(self, wants: Callable[[Key], bool]) -> int:
        """Return how many lines have a key that `wants` says yes to."""
        return sum(count for key, count in self.counts.items() if wants(key))


class Segment:
    """One file and its blocks, as far as it was looked at."""

    def __init__(self, path: Path, block_bytes: int) -> None:
        """Look at nothing yet; a block has about `block_bytes`."""
        self.path = path
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

    def lines(self, block: Block) -> list[LogLine]:
        """Read the lines of a block; none where the file has gone meanwhile."""
        try:
            with self.path.open("rb") as file:
                file.seek(block.start)
                data = file.read(block.end - block.start)
        except FileNotFoundError:
            return []
        return [from_disk(line, head) for line in data.split(b"\n") if (head := head_of(line)) is not None]

    def _take_in(self, data: bytes) -> None:
        end = self._seen
        for line in data.split(b"\n")[:-1]:
            start, end = end, end + len(line) + 1
            if (head := head_of(line)) is None:
                continue
            if not self.blocks or self.blocks[-1].end - self.blocks[-1].start >= self._block_bytes:
                self.blocks.append(Block(start, head))
            self.blocks[-1].add(head, end)
        self._seen += len(data)
