"""Has the C library give freed memory back to the system, rather than keep what it once needed."""

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 1024 * 1024


def keep_little_freed_memory() -> None:
    """Let each of the allocator's arenas keep 1 MiB, and give larger blocks pages of their own, freed with them.

    The C library of GNU otherwise raises both limits to what was freed last, up to 64 MiB for each arena, and there
    are arenas by the number of threads: a guest that returned large values ten times left 500 MB behind for ever.
    Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
