"""Gives back the memory that holds machine code which nobody runs at the moment.

A start runs through tens of megabytes of libraries and compiled plugins once and never again, yet their pages stay
in the process. They are the files' own: where one is needed after all, the kernel maps it anew from its cache.
"""

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path

_MAPPINGS = Path("/proc/self/smaps")


def give_back_code() -> None:
    """Unmap the pages of all machine code for now; does nothing where the system is not Linux.

    Blocks for some milliseconds.
    """
    if not _MAPPINGS.exists():
        return
    libc = ctypes.CDLL(None)
    for start, end in _unchanged_code():
        # A refusal changes nothing: the pages stay.
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def _unchanged_code() -> Iterator[tuple[int, int]]:
    """Yield where files are mapped executable, but not where a page was changed: it would be lost."""
    span = None
    for line in _MAPPINGS.read_text(encoding="utf-8", errors="replace").splitlines():
        first, second, *rest = line.split(maxsplit=5)
        if not first.endswith(":"):
            span = _span(first) if second == "r-xp" and rest[-1].startswith("/") else None
        elif first == "Private_Dirty:" and second == "0" and span is not None:
            yield span


def _span(addresses: str) -> tuple[int, int]:
    start, _, end = addresses.partition("-")
    return int(start, 16), int(end, 16)
