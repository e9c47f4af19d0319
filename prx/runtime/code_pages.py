"""Gives back the memory that holds machine code which nobody runs at the moment.

A start runs through tens of megabytes of libraries and compiled plugins once and never again, yet their pages stay
in the process. They are the files' own: where one is needed after all, the kernel maps it anew from its cache.
"""

import ctypes
import mmap
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from threading import Lock

_MAPPINGS = Path("/proc/self/maps")
_MAPPINGS_IN_DETAIL = Path("/proc/self/smaps")

_Span = tuple[int, int]

_asked: set[str] = set()
_reading = Lock()


def give_back_code() -> None:
    """Unmap the pages of all machine code for now; does nothing where the system is not Linux.

    Blocks for some milliseconds.
    """
    if _MAPPINGS_IN_DETAIL.exists():
        _give_back(_unchanged_code())


def give_back_code_of(file: Path) -> None:
    """Do so for the machine code in `file` alone, which nobody changes in memory. Blocks for some milliseconds."""
    if not _MAPPINGS.exists():
        return
    _asked.add(str(file.resolve()))
    # Plugins fall asleep together, and with many of them the list of mappings is long: whoever reads it does so for all
    # who asked until then.
    with _reading:
        files = _asked.copy()
        _asked.difference_update(files)
        if files:
            _give_back(_code_of(files))


def _give_back(spans: Iterable[_Span]) -> None:
    libc = ctypes.CDLL(None)
    for start, end in spans:
        # A refusal changes nothing: the pages stay.
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def _unchanged_code() -> Iterator[_Span]:
    """Yield where files are mapped executable, but not where a page was changed: it would be lost."""
    span = None
    for line in _lines(_MAPPINGS_IN_DETAIL):
        first, second, *rest = line.split(maxsplit=5)
        if not first.endswith(":"):
            span = _span(first) if second == "r-xp" and rest[-1].startswith("/") else None
        elif first == "Private_Dirty:" and second == "0" and span is not None:
            yield span


def _code_of(files: Collection[str]) -> Iterator[_Span]:
    for line in _lines(_MAPPINGS):
        addresses, permissions, *_, path = line.split(maxsplit=5)
        if permissions == "r-xp" and path in files:
            yield _span(addresses)


def _lines(mappings: Path) -> list[str]:
    # Not splitlines: a path may hold what Unicode takes for the end of a line.
    return mappings.read_text(encoding="utf-8", errors="surrogateescape").rstrip().split("\n")


def _span(addresses: str) -> _Span:
    start, _, end = addresses.partition("-")
    return int(start, 16), int(end, 16)
