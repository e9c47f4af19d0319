"""Writes log lines to a descriptor from its own thread, so that a stalled reader stalls nobody."""

import os
import select
import threading
from collections.abc import Callable
from typing import Final

_MAX_QUEUED_BYTES: Final = 4 << 20


class LogWriter:
    """A bounded queue before a descriptor; lines over the bound are dropped, counted and told."""

    def __init__(self, descriptor: int, dropped_line: Callable[[int], bytes]) -> None:
        """Start the thread. The descriptor stays the caller's: it is not closed.

        Args:
            descriptor: where lines go, blocking or not.
            dropped_line: makes the line that tells how many were dropped.
        """
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._wake = threading.Condition()
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="prx-log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line, its end included; never blocks."""
        with self._wake:
            if self._closing or self._size + len(line) > _MAX_QUEUED_BYTES:
                self._dropped += 1
                return
            self._lines.append(line)
            self._size += len(line)
            self._wake.notify()

    def close(self, timeout_secs: float) -> None:
        """Write what is queued, for at most `timeout_secs`; later lines are dropped. Blocks."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_secs)

    def _serve(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(b"".join(batch))
            except OSError:
                # There is nobody to tell: the reader of the log is what has gone.
                self._count_dropped(len(batch))

    def _next_batch(self) -> list[bytes]:
        """Wait for lines; an empty batch means that the writer is closing."""
        with self._wake:
            self._wake.wait_for(lambda: self._lines or self._closing)
            batch, self._lines = self._lines, []
            self._size = 0
            if batch and self._dropped:
                batch.append(self._dropped_line(self._dropped))
                self._dropped = 0
            return batch

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # A terminal shared with another program may have been made non-blocking by it.
                select.select([], [self._descriptor], [])

    def _count_dropped(self, lines: int) -> None:
        with self._wake:
            self._dropped += lines
