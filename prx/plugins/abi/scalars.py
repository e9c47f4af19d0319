"""Lowering of the types without parts, and the error that every lowering raises."""

import re
import struct
from collections.abc import Callable
from typing import Any

from prx.core.errors import BadRequestError
from prx.plugins.abi import ffi
from prx.plugins.abi.ffi import Words
from prx.plugins.abi.memory import Memory
from prx.plugins.abi.wit import Prim

_INTEGER = re.compile(r"-?[0-9]{1,20}")

Lower = Callable[[Any, Memory], Words]


class LowerError(BadRequestError):
    """A value does not fit its WIT type; `path` leads to it from the outermost value."""

    def __init__(self, message: str, path: str = "") -> None:
        """Say what is wrong at `path`."""
        super().__init__(f"{path}: {message}" if path else message)
        self.reason = message
        self.path = path

    def under(self, step: str) -> "LowerError":
        """Return the same error seen from one level further out."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        return LowerError(self.reason, f"{step}{separator}{self.path}")


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  # one line of an error message


def _integer(kind: int, low: int, high: int) -> Lower:
    # JSON writes 64-bit numbers beyond 2^53 as strings, and 3 may arrive as 3.0.
    strings = high >= 1 << 53

    def lower(value: Any, _memory: Memory) -> Words:
        number = value
        as_text = strings and isinstance(number, str) and _INTEGER.fullmatch(number)
        if as_text or (isinstance(number, float) and number.is_integer()):
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool):
            raise LowerError(f"expected an integer from {low} to {high}, got {shown(value)}")
        if not low <= number <= high:
            raise LowerError(f"{number} is outside {low} to {high}")
        return (kind, number & 0xFFFFFFFFFFFFFFFF, 0, 0)

    return lower


def _float(kind: int, code: str) -> Lower:
    named = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

    def lower(value: Any, _memory: Memory) -> Words:
        number = named.get(value, value) if isinstance(value, str) else value
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise LowerError(f"expected a number, got {shown(value)}")
        try:
            return (kind, int.from_bytes(struct.pack(code, number), "little"), 0, 0)
        except (OverflowError, struct.error):  # the second for an integer that no float holds
            raise LowerError(f"{shown(value)} does not fit the type") from None

    return lower


def _lower_bool(value: Any, _memory: Memory) -> Words:
    if not isinstance(value, bool):
        raise LowerError(f"expected true or false, got {shown(value)}")
    return (ffi.KIND_BOOL, int(value), 0, 0)


def _lower_char(value: Any, _memory: Memory) -> Words:
    if not isinstance(value, str) or len(value) != 1 or "\ud800" <= value <= "\udfff":
        raise LowerError(f"expected a string of one character, got {shown(value)}")
    return (ffi.KIND_CHAR, ord(value), 0, 0)


def _lower_string(value: Any, memory: Memory) -> Words:
    if not isinstance(value, str):
        raise LowerError(f"expected a string, got {shown(value)}")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise LowerError(f"half a surrogate pair at character {error.start}: not Unicode text") from None
    return (ffi.KIND_STRING, len(data), memory.put(ffi.KIND_STRING, data, len(data)), 0)


PRIMITIVES: dict[Prim, Lower] = {
    Prim.BOOL: _lower_bool,
    Prim.S8: _integer(ffi.KIND_S8, -(2**7), 2**7 - 1),
    Prim.U8: _integer(ffi.KIND_U8, 0, 2**8 - 1),
    Prim.S16: _integer(ffi.KIND_S16, -(2**15), 2**15 - 1),
    Prim.U16: _integer(ffi.KIND_U16, 0, 2**16 - 1),
    Prim.S32: _integer(ffi.KIND_S32, -(2**31), 2**31 - 1),
    Prim.U32: _integer(ffi.KIND_U32, 0, 2**32 - 1),
    Prim.S64: _integer(ffi.KIND_S64, -(2**63), 2**63 - 1),
    Prim.U64: _integer(ffi.KIND_U64, 0, 2**64 - 1),
    Prim.F32: _float(ffi.KIND_F32, "<f"),
    Prim.F64: _float(ffi.KIND_F64, "<d"),
    Prim.CHAR: _lower_char,
    Prim.STRING: _lower_string,
}
