"""Cuts what a process writes into lines, whatever their length, without keeping more of them than is wanted."""

from collections.abc import Iterator
from typing import Final, NamedTuple

_KEPT_END: Final = 256


class LongLine(NamedTuple):
    """A line that is longer than is wanted: how long, and its two ends."""

    size: int
    head: bytes
    tail: bytes


class LineSplitter:
    """The lines of one stream, without their ends."""

    def __init__(self, max_bytes: int) -> None:
        """Give lines of up to `max_bytes` whole; of longer ones only their ends are kept."""
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._head = b""
        self._tail = b""

    def feed(self, data: bytes) -> Iterator[bytes | LongLine]:
        """Take what comes next and yield the lines that it ends."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._add(data[start:end])
            yield self._line()
            start = end + 1
        if start < len(data):
            self._add(data[start:])

    def rest(self) -> bytes:
        """Return the line that was begun and is not ended; of a long one its tail."""
        return b"".join(self._parts) if self._size <= self._max_bytes else self._tail

    def _add(self, part: bytes) -> None:
        whole = self._size <= self._max_bytes
        self._size += len(part)
        if self._size <= self._max_bytes:
            self._parts.append(part)
            return
        if whole:
            before = b"".join(self._parts)
            self._parts.clear()
            self._head = (before[:_KEPT_END] + part[:_KEPT_END])[:_KEPT_END]
            self._tail = before[-_KEPT_END:]
        self._tail = (self._tail + part[-_KEPT_END:])[-_KEPT_END:]

    def _line(self) -> bytes | LongLine:
        if self._size <= self._max_bytes:
            line: bytes | LongLine = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        else:
            line = LongLine(self._size, self._head, self._tail)
        self._parts.clear()
        self._size = 0
        self._head = self._tail = b""
        return line
