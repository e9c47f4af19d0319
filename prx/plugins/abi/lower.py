"""From Python to WIT values in memory that the engine reads: each type compiled once into a closure.

A closure takes a JSON-shaped value (`bytes` for a `list<u8>` when `blobs` is "bytes") and a `Memory`, and gives the
value's four words. `handles` makes the closures of handle types, as in `lift`.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from prx.plugins.abi import ffi, wit
from prx.plugins.abi.ffi import ENTRY, NAME, VAL, Words
from prx.plugins.abi.lift import Blobs
from prx.plugins.abi.memory import Memory
from prx.plugins.abi.scalars import PRIMITIVES, Lower, LowerError, shown
from prx.plugins.abi.wit import Prim, WitType, snake


def no_handles(handle: wit.Handle) -> Lower:
    """Refuse a type that has a handle in it where none is expected."""
    raise TypeError(f"{handle} in a value")


def compile_lower(
    wit_type: WitType, blobs: Blobs, handles: Callable[[wit.Handle], Lower] = no_handles
) -> Lower:
    """Return the closure that writes a value of `wit_type`; it raises `LowerError` on a value that does not fit."""
    match wit_type:
        case Prim():
            return PRIMITIVES[wit_type]
        case wit.Handle():
            return handles(wit_type)
        case wit.ListType(element=Prim.U8):
            return _lower_bytes if blobs == "bytes" else _lower_base64
        case _:
            return _compound(wit_type, lambda part: compile_lower(part, blobs, handles))


def _compound(wit_type: wit.Compound, inner: Callable[[WitType], Lower]) -> Lower:
    match wit_type:
        case wit.ListType(element=element):
            return _list(inner(element))
        case wit.RecordType(fields=fields):
            return _record([(n, inner(t), isinstance(t, wit.OptionType)) for n, t in fields])
        case wit.TupleType(elements=elements):
            return _tuple([inner(element) for element in elements])
        case wit.VariantType(cases=cases):
            return _variant([(n, inner(t) if t is not None else None) for n, t in cases])
        case wit.EnumType(cases=names):
            return _enum(names)
        case wit.FlagsType(names=names):
            return _flags(names)
        case wit.OptionType(payload=payload):
            return _option(inner(payload), nested=isinstance(payload, wit.OptionType))
        case wit.ResultType(ok=ok, err=err):
            return _result(*(None if side is None else inner(side) for side in (ok, err)))


def _lower_bytes(value: Any, memory: Memory) -> Words:
    if not isinstance(value, bytes):
        raise LowerError(f"expected bytes, got {shown(value)}")
    # Strided writes: one value of 32 bytes per byte, its kind at offset 0, the byte at 8.
    size = len(value)
    packed = bytearray(size * VAL.size)
    packed[0 :: VAL.size] = bytes((ffi.KIND_U8,)) * size
    packed[8 :: VAL.size] = value
    return (ffi.KIND_LIST, size, memory.put(ffi.KIND_LIST, packed if size else b"", size), 0)


def _lower_base64(value: Any, memory: Memory) -> Words:
    if not isinstance(value, str):
        raise LowerError(f"expected base64 text, got {shown(value)}")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LowerError(f"not base64: {error}") from None
    return _lower_bytes(data, memory)


def _list(element: Lower) -> Lower:
    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, list):
            raise LowerError(f"expected an array, got {shown(value)}")
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
            raise LowerError(f"expected an array of {as_list}, got {shown(value)}")
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
            raise LowerError(f"expected an object, got {shown(value)}")
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
            raise LowerError(f"expected one of {choices}, got {shown(value)}")
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
            raise LowerError(f"expected one of {', '.join(by_name)}, got {shown(value)}")
        return (ffi.KIND_ENUM, len(name), memory.put(ffi.KIND_STRING, name, len(name)), 0)

    return lower


def _flags(names: tuple[str, ...]) -> Lower:
    by_name = {snake(name): name.encode() for name in names}

    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, list) or any(not isinstance(n, str) or n not in by_name for n in value):
            raise LowerError(f"expected an array of {', '.join(by_name)}, got {shown(value)}")
        if len(set(value)) < len(value):
            raise LowerError(f"expected each flag at most once, got {shown(value)}")
        chosen = [by_name[name] for name in value]
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
                raise LowerError(f'expected null or {{"some": ...}}, got {shown(value)}')
            inner = value["some"]
        return (ffi.KIND_OPTION, memory.box(payload(inner, memory)), 0, 0)

    return lower


def _result(ok: Lower | None, err: Lower | None) -> Lower:
    def lower(value: Any, memory: Memory) -> Words:
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ("ok", "err"):
            raise LowerError(f'expected {{"ok": ...}} or {{"err": ...}}, got {shown(value)}')
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
