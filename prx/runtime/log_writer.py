"""Writes log lines from a thread of its own, so that a stalled reader or a slow disk stalls nobody."""

import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import Final

_MAX_QUEUED_BYTES: Final = 4 << 20

Write = Callable[[Sequence[bytes], int], None]
"""Writes lines, and tells how many before them were dropped; may block. An OSError drops them all."""


class LogWriter:
    """A bounded queue before what writes; lines over the bound are dropped and counted."""

    def __init__(self, name: str, write: Write) -> None:
        """Start the thread `name`, which alone calls `write`."""
        self._write = write
        self._wake = threading.Condition()
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self.lost = 0
        """Lines that were dropped since the start."""
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line, its end included; never blocks."""
        with self._wake:
            if self._closing or self._size + len(line) > _MAX_QUEUED_BYTES:
                self._dropped += 1
                self.lost += 1
                return
            self._lines.append(line)
            self._size += len(line)
            self._wake.notify()

    def close(self, timeout_secs: float) -> bool:
        """Write what is queued, for at most `timeout_secs`, and tell whether that was enough. Blocks.

        Later lines are dropped.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_secs)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            batch, dropped = self._next_batch()
            if not batch:
                return
            try:
                self._write(batch, dropped)
            except OSError:
                # There is nobody to tell: the reader of the log is what has gone.
                self._count_dropped(len(batch), dropped)

    def _next_batch(self) -> tuple[list[bytes], int]:
        """Wait for lines; no lines mean that the writer is closing."""
        with self._wake:
            self._wake.wait_for(lambda: self._lines or self._closing)
            batch, self._lines = self._lines, []
            dropped, self._dropped = self._dropped, 0
            self._size = 0
            return batch, dropped

    def _count_dropped(self, now: int, before: int) -> None:
        with self._wake:
            self._dropped += now + before
            self.lost += now


class DescriptorLines:
    """Lines to a descriptor, such as stderr; those that were dropped are told in a line of their own."""

    def __init__(self, descriptor: int, dropped_line: Callable[[int], bytes]) -> None:
        """Write to `descriptor`, blocking or not, which stays the caller's: it is not closed.

        Args:
            descriptor: where lines go.
            dropped_line: makes the line that tells how many were dropped.
        """
        self._descriptor = descriptor
        self._dropped_line = dropped_line

    def write(self, lines: Sequence[bytes], dropped: int) -> None:
        """See `Write`."""
        told = [self._dropped_line(dropped)] if dropped else []
        rest = memoryview(b"".join([*told, *lines]))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # A terminal shared with another program may have been made non-blocking by it.
                select.select([], [self._descriptor], [])
