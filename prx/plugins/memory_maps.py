"""The linear memories of this process as the kernel lists them.

Used where the guest can no longer be asked: after a trap an instance answers nothing, but what its store unmaps when
it is closed is what it held.
"""

from collections.abc import Callable
from pathlib import Path

_MAPS = Path("/proc/self/maps")
# wasmtime reserves 4 GiB of address space behind each memory, so that an access out of bounds faults.
_LEAST_RESERVATION = 1 << 30


def freed_by(close: Callable[[], None]) -> int:
    """Run `close` and return the bytes of linear memory that went with it; 0 where the kernel does not tell.

    Another thread that closes a store in the same instant can add to the figure; the largest memory is taken then.
    """
    before = linear_memories()
    close()
    gone = before.items() - linear_memories().items()
    return max((size for _, size in gone), default=0)


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
