"""Where lowered values live while the engine reads them.

Arguments go into `Borrowed` memory: the engine copies them during the call, so Python bytes that live until it returns
are enough. Results of host functions go into `Owned` memory: the engine takes and frees them.
"""

import ctypes
from typing import Protocol

from prx.plugins.abi import ffi
from prx.plugins.abi.ffi import VAL, Words, bytes_address


class Memory(Protocol):
    """Where the parts of a value go."""

    def put(self, kind: int, data: bytes | bytearray, count: int) -> int:
        """Store `count` packed items that belong to a value of `kind`; return their address."""

    def box(self, value: Words) -> int:
        """Store one value behind a pointer; return its address."""


class Borrowed:
    """Python bytes, alive as long as this object; `size` counts text bytes and list items."""

    __slots__ = ("_keep", "size")

    def __init__(self) -> None:
        """Start empty."""
        self._keep: list[bytes | bytearray] = []
        self.size = 0

    def put(self, kind: int, data: bytes | bytearray, count: int) -> int:
        """See `Memory.put`."""
        self._keep.append(data)
        if kind in (ffi.KIND_STRING, ffi.KIND_LIST):
            self.size += count
        return bytes_address(data)

    def box(self, value: Words) -> int:
        """See `Memory.box`."""
        return self.put(0, VAL.pack(*value), 1)


class Owned:
    """The engine's own allocator; whoever receives the value frees it."""

    __slots__ = ()

    def put(self, kind: int, data: bytes | bytearray, count: int) -> int:
        """See `Memory.put`."""
        out = (ctypes.c_uint64 * 2)()
        _CONSTRUCTORS[kind](ctypes.addressof(out), count, bytes_address(data))
        return out[1]

    def box(self, value: Words) -> int:
        """See `Memory.box`."""
        data = VAL.pack(*value)  # named, so that it lives until the engine has copied it
        return ffi.val_new(bytes_address(data))  # type: ignore[no-any-return]  # a C function


_CONSTRUCTORS = {
    ffi.KIND_STRING: ffi.byte_vec_new,
    ffi.KIND_LIST: ffi.list_new,
    ffi.KIND_RECORD: ffi.record_new,
    ffi.KIND_TUPLE: ffi.tuple_new,
    ffi.KIND_FLAGS: ffi.flags_new,
}
