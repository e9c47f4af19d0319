"""The linear memories of this process as the kernel lists them.

Used where the guest can no longer be asked: after a trap an instance answers nothing, but what its store unmaps when
it is closed is what it held.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_MAPS = Path("/proc/self/maps")
# wasmtime reserves 4 GiB of address space behind each memory, so that an access out of bounds faults.
_LEAST_RESERVATION = 1 << 30

_LOOK_SECS = 0.0002


class _Deletions:
    """Lets any number of stores be deleted at once, or one alone that is measured."""

    def __init__(self) -> None:
        self._alone = threading.Lock()
        self._measuring = False
        self._threads: set[int] = set()

    def together(self, close: Callable[[], None]) -> None:
        # Every call of a fresh plugin comes here: one of the two always sees the other, without a lock.
        thread = threading.get_ident()
        self._threads.add(thread)
        try:
            if not self._measuring:
                close()
                return
        finally:
            self._threads.discard(thread)
        with self._alone:
            close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._alone:
            self._measuring = True
            try:
                while self._threads:
                    time.sleep(_LOOK_SECS)
                yield
            finally:
                self._measuring = False


_deletions = _Deletions()


def free(close: Callable[[], None]) -> None:
    """Run `close`, which deletes a store, while nobody measures what another one frees."""
    _deletions.together(close)


def freed_by(close: Callable[[], None]) -> int:
    """Run `close`, which deletes a store; return the bytes of linear memory that went with it.

    It is 0 where the kernel does not tell.
    """
    with _deletions.alone():
        before = linear_memories()
        close()
        after = linear_memories()
    # Memories of others may have grown meanwhile, and a new and smaller one may lie where this one was.
    return max((size for start, size in before.items() if after.get(start, -1) < size), default=0)


def linear_memories() -> dict[int, int]:
    """Return the accessible size in bytes of each linear memory by its address."""
    try:
        lines = _MAPS.read_text().splitlines()
    except OSError:
        return {}
    memories: dict[int, int] = {}
    start = end = 0
    for line in lines:
        addresses, protection = line.split(" ", 2)[:2]
        low, high = (int(part, 16) for part in addresses.split("-"))
        if protection.startswith("rw"):
            start = start if low == end else low
            end = high
        elif protection.startswith("---") and low == end and high - low >= _LEAST_RESERVATION:
            memories[start] = end - start
    return memories
