"""From Python to WIT values in memory that the engine reads: each type compiled once into a closure.

A closure takes a JSON-shaped value (`bytes` for a `list<u8>` when `blobs` is "bytes") and a `Memory`, and gives the
value's four words. Arguments are lowered into `Borrowed` memory: the engine copies them during the call, so Python
bytes that live until it returns are enough. Results of host functions are lowered into `Owned` memory: the engine
takes and frees them.
"""

import base64
import binascii
import ctypes
import re
import struct
from collections.abc import Callable
from typing import Any, Protocol

from prx.core.errors import BadRequestError
from prx.plugins.abi import ffi
from prx.plugins.abi.ffi import ENTRY, NAME, VAL, Words, bytes_address
from prx.plugins.abi.lift import Blobs
from prx.plugins.abi.wit import (
    EnumType,
    FlagsType,
    ListType,
    OptionType,
    Prim,
    RecordType,
    ResultType,
    TupleType,
    VariantType,
    WitType,
    snake,
)


class Memory(Protocol):
    """Where the parts of a value go."""

    def put(self, kind: int, data: bytes, count: int) -> int:
        """Store `count` packed items that belong to a value of `kind`; return their address."""

    def box(self, value: Words) -> int:
        """Store one value behind a pointer; return its address."""


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


class Borrowed:
    """Python bytes, alive as long as this object; `size` counts text bytes and list items."""

    __slots__ = ("_keep", "size")

    def __init__(self) -> None:
        """Start empty."""
        self._keep: list[bytes] = []
        self.size = 0

    def put(self, kind: int, data: bytes, count: int) -> int:
        """See `Memory.put`."""
        self._keep.append(data)
        if kind in (ffi.KIND_STRING, ffi.KIND_LIST):
            self.size += count
        return bytes_address(data)  # type: ignore[no-any-return]  # a C function

    def box(self, value: Words) -> int:
        """See `Memory.box`."""
        return self.put(0, VAL.pack(*value), 1)


class Owned:
    """The engine's own allocator; whoever receives the value frees it."""

    __slots__ = ()

    def put(self, kind: int, data: bytes, count: int) -> int:
        """See `Memory.put`."""
        out = (ctypes.c_uint64 * 2)()
        _CONSTRUCTORS[kind](ctypes.addressof(out), count, bytes_address(data))
        return out[1]

    def box(self, value: Words) -> int:
        """See `Memory.box`."""
        return ffi.val_new(bytes_address(VAL.pack(*value)))  # type: ignore[no-any-return]  # a C function


_CONSTRUCTORS = {
    ffi.KIND_STRING: ffi.byte_vec_new,
    ffi.KIND_LIST: ffi.list_new,
    ffi.KIND_RECORD: ffi.record_new,
    ffi.KIND_TUPLE: ffi.tuple_new,
    ffi.KIND_FLAGS: ffi.flags_new,
}


def compile_lower(wit_type: WitType, blobs: Blobs) -> Lower:
    """Return the closure that writes a value of `wit_type`; it raises `LowerError` on a value that does not fit."""
    match wit_type:
        case Prim():
            return _PRIMITIVES[wit_type]
        case ListType(element=Prim.U8):
            return _lower_bytes if blobs == "bytes" else _lower_base64
        case ListType(element=element):
            return _list(compile_lower(element, blobs))
        case RecordType(fields=fields):
            return _record([(n, compile_lower(t, blobs), isinstance(t, OptionType)) for n, t in fields])
        case TupleType(elements=elements):
            return _tuple([compile_lower(element, blobs) for element in elements])
        case VariantType(cases=cases):
            return _variant([(n, compile_lower(t, blobs) if t is not None else None) for n, t in cases])
        case EnumType(cases=names):
            return _enum(names)
        case FlagsType(names=names):
            return _flags(names)
        case OptionType(payload=payload):
            return _option(compile_lower(payload, blobs), nested=isinstance(payload, OptionType))
        case ResultType(ok=ok, err=err):
            return _result(*(None if side is None else compile_lower(side, blobs) for side in (ok, err)))


def _integer(kind: int, low: int, high: int) -> Lower:
    # JSON writes 64-bit numbers beyond 2^53 as strings, and 3 may arrive as 3.0.
    strings = high >= 1 << 53

    def lower(value: Any, _memory: Memory) -> Words:
        number = value
        as_text = strings and isinstance(number, str) and _INTEGER.fullmatch(number)
        if as_text or (isinstance(number, float) and number.is_integer()):
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool):
            raise LowerError(f"expected an integer from {low} to {high}, got {_shown(value)}")
        if not low <= number <= high:
            raise LowerError(f"{number} is outside {low} to {high}")
        return (kind, number & 0xFFFFFFFFFFFFFFFF, 0, 0)

    return lower


def _float(kind: int, code: str) -> Lower:
    named = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

    def lower(value: Any, _memory: Memory) -> Words:
        number = named.get(value, value) if isinstance(value, str) else value
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise LowerError(f"expected a number, got {_shown(value)}")
        try:
            return (kind, int.from_bytes(struct.pack(code, number), "little"), 0, 0)
        except OverflowError:
            raise LowerError(f"{_shown(value)} does not fit the type") from None

    return lower


def _lower_bool(value: Any, _memory: Memory) -> Words:
    if not isinstance(value, bool):
        raise LowerError(f"expected true or false, got {_shown(value)}")
    return (ffi.KIND_BOOL, int(value), 0, 0)


def _lower_char(value: Any, _memory: Memory) -> Words:
    if not isinstance(value, str) or len(value) != 1 or "\ud800" <= value <= "\udfff":
        raise LowerError(f"expected a string of one character, got {_shown(value)}")
    return (ffi.KIND_CHAR, ord(value), 0, 0)


def _lower_string(value: Any, memory: Memory) -> Words:
    if not isinstance(value, str):
        raise LowerError(f"expected a string, got {_shown(value)}")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise LowerError(f"half a surrogate pair at character {error.start}: not Unicode text") from None
    return (ffi.KIND_STRING, len(data), memory.put(ffi.KIND_STRING, data, len(data)), 0)


def _lower_bytes(value: Any, memory: Memory) -> Words:
    if not isinstance(value, bytes):
        raise LowerError(f"expected bytes, got {_shown(value)}")
    # Strided writes: one value of 32 bytes per byte, its kind at offset 0, the byte at 8.
    size = len(value)
    packed = bytearray(size * VAL.size)
    packed[0 :: VAL.size] = bytes((ffi.KIND_U8,)) * size
    packed[8 :: VAL.size] = value
    return (ffi.KIND_LIST, size, memory.put(ffi.KIND_LIST, bytes(packed), size), 0)


def _lower_base64(value: Any, memory: Memory) -> Words:
    if not isinstance(value, str):
        raise LowerError(f"expected base64 text, got {_shown(value)}")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LowerError(f"not base64: {error}") from None
    return _lower_bytes(data, memory)


def _list(element: Lower) -> Lower:
    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, list):
            raise LowerError(f"expected an array, got {_shown(value)}")
        packed = []
        for index, item in enumerate(value):
            try:
                packed.append(VAL.pack(*element(item, memory)))
            except LowerError as error:
                raise error.under(f"[{index}]") from None
        return (ffi.KIND_LIST, len(value), memory.put(ffi.KIND_LIST, b"".join(packed), len(value)), 0)

    return lower


def _tuple(elements: list[Lower]) -> Lower:
    as_list = len(elements)

    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, list | tuple) or len(value) != as_list:
            raise LowerError(f"expected an array of {as_list}, got {_shown(value)}")
        packed = []
        for index, (element, item) in enumerate(zip(elements, value, strict=True)):
            try:
                packed.append(VAL.pack(*element(item, memory)))
            except LowerError as error:
                raise error.under(f"[{index}]") from None
        return (ffi.KIND_TUPLE, as_list, memory.put(ffi.KIND_TUPLE, b"".join(packed), as_list), 0)

    return lower


def _record(fields: list[tuple[str, Lower, bool]]) -> Lower:
    plan = [(name.encode(), snake(name), lower, optional) for name, lower, optional in fields]
    known = {snake(name) for name, _, _ in fields}

    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, dict):
            raise LowerError(f"expected an object, got {_shown(value)}")
        if unknown := value.keys() - known:
            raise LowerError(f"unknown field {min(unknown)!r}; it has {', '.join(sorted(known))}")
        packed = []
        for name, key, field, optional in plan:
            if key not in value and not optional:
                raise LowerError(f"field {key!r} is missing")
            try:
                words = field(value.get(key), memory)
            except LowerError as error:
                raise error.under(key) from None
            packed.append(ENTRY.pack(len(name), memory.put(ffi.KIND_STRING, name, len(name)), *words))
        return (ffi.KIND_RECORD, len(plan), memory.put(ffi.KIND_RECORD, b"".join(packed), len(plan)), 0)

    return lower


def _variant(cases: list[tuple[str, Lower | None]]) -> Lower:
    by_name = {snake(name): (name.encode(), payload) for name, payload in cases}
    choices = ", ".join(f'{{"{n}": ...}}' if p else f'"{n}"' for n, (_, p) in by_name.items())

    def lower(value: Any, memory: Memory) -> Words:
        if isinstance(value, str) and value in by_name and by_name[value][1] is None:
            key, payload_value = value, None
        elif isinstance(value, dict) and len(value) == 1 and next(iter(value)) in by_name:
            key, payload_value = next(iter(value.items()))
        else:
            raise LowerError(f"expected one of {choices}, got {_shown(value)}")
        name, payload = by_name[key]
        pointer = 0
        if payload is not None:
            try:
                pointer = memory.box(payload(payload_value, memory))
            except LowerError as error:
                raise error.under(key) from None
        elif payload_value is not None:
            raise LowerError(f'case "{key}" takes no value')
        return (ffi.KIND_VARIANT, len(name), memory.put(ffi.KIND_STRING, name, len(name)), pointer)

    return lower


def _enum(names: tuple[str, ...]) -> Lower:
    by_name = {snake(name): name.encode() for name in names}

    def lower(value: Any, memory: Memory) -> Words:
        name = by_name.get(value) if isinstance(value, str) else None
        if name is None:
            raise LowerError(f"expected one of {', '.join(by_name)}, got {_shown(value)}")
        return (ffi.KIND_ENUM, len(name), memory.put(ffi.KIND_STRING, name, len(name)), 0)

    return lower


def _flags(names: tuple[str, ...]) -> Lower:
    by_name = {snake(name): name.encode() for name in names}

    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, list) or any(not isinstance(n, str) or n not in by_name for n in value):
            raise LowerError(f"expected an array of {', '.join(by_name)}, got {_shown(value)}")
        chosen = [by_name[name] for name in dict.fromkeys(value)]
        packed = b"".join(NAME.pack(len(n), memory.put(ffi.KIND_STRING, n, len(n))) for n in chosen)
        return (ffi.KIND_FLAGS, len(chosen), memory.put(ffi.KIND_FLAGS, packed, len(chosen)), 0)

    return lower


def _option(payload: Lower, *, nested: bool) -> Lower:
    def lower(value: Any, memory: Memory) -> Words:
        if value is None:
            return (ffi.KIND_OPTION, 0, 0, 0)
        inner = value
        if nested:
            if not isinstance(value, dict) or value.keys() != {"some"}:
                raise LowerError(f'expected null or {{"some": ...}}, got {_shown(value)}')
            inner = value["some"]
        return (ffi.KIND_OPTION, memory.box(payload(inner, memory)), 0, 0)

    return lower


def _result(ok: Lower | None, err: Lower | None) -> Lower:
    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ("ok", "err"):
            raise LowerError(f'expected {{"ok": ...}} or {{"err": ...}}, got {_shown(value)}')
        key, inner = next(iter(value.items()))
        payload = ok if key == "ok" else err
        if payload is None and inner is not None:
            raise LowerError(f'"{key}" takes no value')
        try:
            pointer = memory.box(payload(inner, memory)) if payload is not None else 0
        except LowerError as error:
            raise error.under(key) from None
        return (ffi.KIND_RESULT, int(key == "ok"), pointer, 0)

    return lower


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  # one line of an error message


_PRIMITIVES: dict[Prim, Lower] = {
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
