"""A guest's stdout and stderr: pipes whose content becomes log lines, bounded, and never blocks the guest for long.

The guest writes in native code where no deadline reaches it, so a full pipe would hold its thread. One thread reads
every pipe as soon as something is in it; the owner of the call reads what is left when the call ends.
"""

import contextlib
import os
import selectors
import threading
from collections.abc import Callable

_MAX_LINE = 8 * 1024
_CHUNK = 64 * 1024

Lines = Callable[[bytes], None]


class LineSplitter:
    """Gives what comes in pieces to `sink` as lines of a bounded length."""

    def __init__(self, sink: Lines) -> None:
        """Start at the beginning of a line."""
        self._sink = sink
        self._rest = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take the next piece."""
        self._rest += chunk
        *lines, rest = self._rest.split(b"\n")
        for line in lines:
            self._sink(bytes(line[:_MAX_LINE]))
        self._rest = rest
        if len(rest) > _MAX_LINE:
            self._sink(bytes(rest[:_MAX_LINE]))
            self._rest = bytearray()

    def finish(self) -> None:
        """Hand on a last line without a line end."""
        if self._rest:
            self._sink(bytes(self._rest))
            self._rest.clear()


class Pipe:
    """One stream of one instance, read in lines; the guest opens `path`."""

    def __init__(self, reader: "StdioReader", sink: Lines) -> None:
        """Open the pipe, have `reader` empty it, and give whole lines to `sink`."""
        self._lock = threading.Lock()
        self._lines = LineSplitter(sink)
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._reader = reader
        self._watched = True
        reader.add(self._read, self.drain)

    @property
    def path(self) -> str:
        """The file name under which wasmtime opens the writing end."""
        return f"/proc/self/fd/{self._write}"

    def opened(self) -> None:
        """Drop our writing end: the guest's own is enough from now on."""
        os.close(self._write)
        self._write = -1

    def drain(self) -> bool:
        """Read one chunk, if there is any; more would keep the other pipes of a flooding guest's reader waiting."""
        with self._lock:
            if self._read < 0:
                return False
            try:
                chunk = os.read(self._read, _CHUNK)
            except BlockingIOError:
                return False
            self._lines.add(chunk)
            return bool(chunk)

    def detach(self) -> None:
        """Stop watching, before the guest goes: a pipe whose other end is gone can be read again and again."""
        if self._watched:
            self._watched = False
            self._reader.remove(self._read)

    def finish(self) -> None:
        """Read what is left once the guest is gone, and hand on a last line without a line end."""
        while self.drain():
            pass
        with self._lock:
            self._lines.finish()

    def close(self) -> None:
        """Close both ends."""
        self.detach()
        with self._lock:
            os.close(self._read)
            self._read = -1
        if self._write >= 0:
            os.close(self._write)
            self._write = -1


class StdioReader:
    """The thread that empties all pipes."""

    def __init__(self) -> None:
        """Prepare; the thread starts with the first pipe."""
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, descriptor: int, drain: Callable[[], object]) -> None:
        """Call `drain` whenever `descriptor` can be read."""
        with self._lock:
            self._selector.register(descriptor, selectors.EVENT_READ, drain)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prx-stdio", daemon=True)
                self._thread.start()

    def remove(self, descriptor: int) -> None:
        """Stop watching `descriptor`, before it is closed."""
        with self._lock:
            if not self._closed:
                self._selector.unregister(descriptor)

    def close(self) -> None:
        """Stop the thread and close what is left."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join(timeout=1)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _woken(self) -> None:
        os.read(self._wake_read, _CHUNK)

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                key.data()
