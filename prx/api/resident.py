"""How much memory the process has resident, read rarely enough to cost nothing."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = resource.getpagesize()
_FRESH_SECS: Final = 1.0


class ResidentMemory:
    """Reads `/proc/self/statm` at most once a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Read nothing yet; `clock` gives seconds and never goes back."""
        self._clock = clock
        self._bytes = 0
        self._read_at: float | None = None

    def bytes_now(self) -> int:
        """Return the resident set in bytes, at most a second old."""
        now = self._clock()
        if self._read_at is None or now - self._read_at >= _FRESH_SECS:
            self._bytes = int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
            self._read_at = now
        return self._bytes
