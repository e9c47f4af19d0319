"""From WIT values in the engine's memory to Python: each type compiled once into a closure.

Python values are JSON-shaped (see `jsonschema.py`), except that a `list<u8>` is `bytes` when `blobs` is "bytes".
A closure takes a value's three words; what they point at is read in one copy and unpacked. What a handle stands for is
not known here: whoever expects some gives `handles`, which makes the closure of each handle type.
"""

import base64
import math
import struct
from collections.abc import Callable
from typing import Any, Literal

from prx.plugins.abi import wit
from prx.plugins.abi.ffi import (
    ENTRY,
    ENTRY_WORDS,
    NAME,
    VAL,
    VAL_WORDS,
    every_byte_at,
    string_at,
    text_at,
    words_of,
)
from prx.plugins.abi.wit import Prim, WitType, snake

Blobs = Literal["base64", "bytes"]
Lift = Callable[[int, int, int], Any]

MAX_SAFE_INTEGER = 2**53


def no_handles(handle: wit.Handle) -> Lift:
    """Refuse a type that has a handle in it where none is expected."""
    raise TypeError(f"{handle} in a value")


def compile_lift(wit_type: WitType, blobs: Blobs, handles: Callable[[wit.Handle], Lift] = no_handles) -> Lift:
    """Return the closure that reads a value of `wit_type`."""
    match wit_type:
        case Prim():
            return _PRIMITIVES[wit_type]
        case wit.Handle():
            return handles(wit_type)
        case wit.ListType(element=Prim.U8):
            return _lift_bytes if blobs == "bytes" else _lift_base64
        case _:
            return _compound(wit_type, lambda part: compile_lift(part, blobs, handles))


def _compound(wit_type: wit.Compound, inner: Callable[[WitType], Lift]) -> Lift:
    match wit_type:
        case wit.ListType(element=element):
            return _list(inner(element))
        case wit.RecordType(fields=fields):
            return _record([(snake(name), inner(field)) for name, field in fields])
        case wit.TupleType(elements=elements):
            return _tuple([inner(element) for element in elements])
        case wit.VariantType(cases=cases):
            return _variant(
                {name: inner(payload) if payload is not None else None for name, payload in cases}
            )
        case wit.EnumType():
            return _lift_case
        case wit.FlagsType():
            return _lift_flags
        case wit.OptionType(payload=payload):
            return _option(inner(payload), nested=isinstance(payload, wit.OptionType))
        case wit.ResultType(ok=ok, err=err):
            return _result(*(None if side is None else inner(side) for side in (ok, err)))


def _signed(bits: int) -> Lift:
    mask, top = (1 << bits) - 1, 1 << (bits - 1)

    def lift(word: int, _1: int, _2: int) -> int:
        return ((word & mask) ^ top) - top

    return lift


def _unsigned(bits: int) -> Lift:
    mask = (1 << bits) - 1

    def lift(word: int, _1: int, _2: int) -> int:
        return word & mask

    return lift


def _lift_s64(word: int, _1: int, _2: int) -> int | str:
    value = (word ^ (1 << 63)) - (1 << 63)
    return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)


def _lift_u64(word: int, _1: int, _2: int) -> int | str:
    return word if word <= MAX_SAFE_INTEGER else str(word)


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _lift_f32(word: int, _1: int, _2: int) -> float | str:
    return _float(struct.unpack("<f", struct.pack("<I", word & 0xFFFFFFFF))[0])


def _lift_f64(word: int, _1: int, _2: int) -> float | str:
    return _float(struct.unpack("<d", struct.pack("<Q", word))[0])


def _lift_bool(word: int, _1: int, _2: int) -> bool:
    return bool(word & 0xFF)


def _lift_char(word: int, _1: int, _2: int) -> str:
    return chr(word & 0xFFFFFFFF)


def _lift_string(size: int, data: int, _2: int) -> str:
    return text_at(data, size) if size else ""


def _lift_case(size: int, data: int, _2: int) -> str:
    return snake(text_at(data, size))


def _lift_bytes(size: int, data: int, _2: int) -> bytes:
    return every_byte_at(data + 8, size, VAL.size) if size else b""


def _lift_base64(size: int, data: int, _2: int) -> str:
    return base64.b64encode(_lift_bytes(size, data, _2)).decode()


def _lift_flags(size: int, data: int, _2: int) -> list[str]:
    if not size:
        return []
    names = NAME.iter_unpack(string_at(data, size * NAME.size))
    return [snake(text_at(address, length)) for length, address in names]


def _list(element: Lift) -> Lift:
    def lift(size: int, data: int, _2: int) -> list[Any]:
        if not size:
            return []
        return [element(a, b, c) for _, a, b, c in VAL.iter_unpack(string_at(data, size * VAL.size))]

    return lift


def _record(fields: list[tuple[str, Lift]]) -> Lift:
    unpack = words_of(ENTRY_WORDS, len(fields))
    plan = [(name, field, 3 * place) for place, (name, field) in enumerate(fields)]

    def lift(size: int, data: int, _2: int) -> dict[str, Any]:
        words = unpack(string_at(data, size * ENTRY.size))
        return {name: field(words[at], words[at + 1], words[at + 2]) for name, field, at in plan}

    return lift


def _tuple(elements: list[Lift]) -> Lift:
    unpack = words_of(VAL_WORDS, len(elements))
    plan = [(element, 3 * place) for place, element in enumerate(elements)]

    def lift(size: int, data: int, _2: int) -> list[Any]:
        words = unpack(string_at(data, size * VAL.size))
        return [element(words[at], words[at + 1], words[at + 2]) for element, at in plan]

    return lift


def _pointee(payload: Lift, pointer: int) -> Any:
    _, a, b, c = VAL.unpack(string_at(pointer, VAL.size))
    return payload(a, b, c)


def _variant(cases: dict[str, Lift | None]) -> Lift:
    def lift(size: int, data: int, pointer: int) -> Any:
        name = text_at(data, size)
        payload = cases[name]
        return snake(name) if payload is None else {snake(name): _pointee(payload, pointer)}

    return lift


def _option(payload: Lift, *, nested: bool) -> Lift:
    def lift(pointer: int, _1: int, _2: int) -> Any:
        if not pointer:
            return None
        value = _pointee(payload, pointer)
        return {"some": value} if nested else value

    return lift


def _result(ok: Lift | None, err: Lift | None) -> Lift:
    def lift(is_ok: int, pointer: int, _2: int) -> dict[str, Any]:
        name, payload = ("ok", ok) if is_ok & 0xFF else ("err", err)
        return {name: _pointee(payload, pointer) if payload is not None else None}

    return lift


_PRIMITIVES: dict[Prim, Lift] = {
    Prim.BOOL: _lift_bool,
    Prim.S8: _signed(8),
    Prim.U8: _unsigned(8),
    Prim.S16: _signed(16),
    Prim.U16: _unsigned(16),
    Prim.S32: _signed(32),
    Prim.U32: _unsigned(32),
    Prim.S64: _lift_s64,
    Prim.U64: _lift_u64,
    Prim.F32: _lift_f32,
    Prim.F64: _lift_f64,
    Prim.CHAR: _lift_char,
    Prim.STRING: _lift_string,
}
