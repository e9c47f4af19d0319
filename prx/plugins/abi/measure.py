"""How large a value is, told before any of it is copied into Python.

About the bytes of its JSON text: text and names count their UTF-8 bytes, numbers the width of their type.
"""

from collections.abc import Callable
from typing import NamedTuple

from prx.plugins.abi import wit
from prx.plugins.abi.ffi import ENTRY, ENTRY_WORDS, NAME, VAL, VAL_WORDS, string_at, words_of
from prx.plugins.abi.wit import Prim, WitType

Measure = Callable[[int, int, int], int]

_WIDTHS = {
    Prim.BOOL: 1, Prim.S8: 1, Prim.U8: 1, Prim.S16: 2, Prim.U16: 2, Prim.S32: 4, Prim.U32: 4,
    Prim.F32: 4, Prim.CHAR: 4, Prim.S64: 8, Prim.U64: 8, Prim.F64: 8,
}  # fmt: skip


class _Size(NamedTuple):
    fixed: int
    """What every value of the type has."""
    rest: Measure | None
    """What depends on the value."""


def compile_measure(wit_type: WitType) -> Measure:
    """Return the closure that tells the bytes of a value of `wit_type`."""
    fixed, rest = _size(wit_type)
    if rest is None:
        return lambda _0, _1, _2: fixed
    if fixed == 0:
        return rest
    return lambda a, b, c: fixed + rest(a, b, c)


def _size(wit_type: WitType) -> _Size:
    match wit_type:
        case Prim.STRING | wit.EnumType():
            return _Size(0, _length)
        case Prim():
            return _Size(_WIDTHS[wit_type], None)
        case wit.FlagsType():
            return _Size(0, _names)
        case wit.ListType(element=element):
            return _Size(0, _list(_size(element)))
        case wit.RecordType(fields=fields):
            names = sum(len(name) for name, _ in fields)
            return _parts(names, [_size(field) for _, field in fields], named=True)
        case wit.TupleType(elements=elements):
            return _parts(0, [_size(element) for element in elements], named=False)
        case wit.OptionType(payload=payload):
            size = _size(payload)
            return _Size(1 + size.fixed, _behind(size.rest, word=0))
        case wit.ResultType(ok=ok, err=err):
            return _result(_payload(ok), _payload(err))
        case wit.VariantType(cases=cases):
            return _variant({name.encode(): _payload(payload) for name, payload in cases})
        case wit.Handle():
            raise TypeError(f"{wit_type} in a value")


def _payload(wit_type: WitType | None) -> _Size:
    return _size(wit_type) if wit_type is not None else _Size(0, None)


def _length(size: int, _1: int, _2: int) -> int:
    return size


def _names(size: int, data: int, _2: int) -> int:
    return sum(length for length, _ in NAME.iter_unpack(string_at(data, size * NAME.size))) if size else 0


def _list(element: _Size) -> Measure:
    each, rest = max(1, element.fixed), element.rest

    def measure(size: int, data: int, _2: int) -> int:
        total = size * each
        if rest is not None and size:
            total += sum(rest(a, b, c) for _, a, b, c in VAL.iter_unpack(string_at(data, size * VAL.size)))
        return total

    return measure


def _parts(names: int, parts: list[_Size], *, named: bool) -> _Size:
    fixed = names + sum(part.fixed for part in parts)
    rests = [part.rest for part in parts]
    if not any(rests):
        return _Size(fixed, None)
    width = ENTRY.size if named else VAL.size
    unpack = words_of(ENTRY_WORDS if named else VAL_WORDS, len(parts))
    plan = [(rest, 3 * place) for place, rest in enumerate(rests) if rest is not None]

    def measure(size: int, data: int, _2: int) -> int:
        words = unpack(string_at(data, size * width))
        total = 0
        for rest, at in plan:
            total += rest(words[at], words[at + 1], words[at + 2])
        return total

    return _Size(fixed, measure)


def _behind(rest: Measure | None, *, word: int) -> Measure | None:
    if rest is None:
        return None

    def measure(*words: int) -> int:
        pointer = words[word]
        return rest(*VAL.unpack(string_at(pointer, VAL.size))[1:]) if pointer else 0

    return measure


def _result(ok: _Size, err: _Size) -> _Size:
    fixed = 1 + max(ok.fixed, err.fixed)
    sides = (_behind(err.rest, word=1), _behind(ok.rest, word=1))
    if not any(sides):
        return _Size(fixed, None)

    def measure(is_ok: int, pointer: int, _2: int) -> int:
        side = sides[is_ok & 1]
        return side(is_ok, pointer, _2) if side is not None else 0

    return _Size(fixed, measure)


def _variant(cases: dict[bytes, _Size]) -> _Size:
    payloads = {name: _behind(size.rest, word=2) for name, size in cases.items()}

    def measure(size: int, data: int, pointer: int) -> int:
        payload = payloads[string_at(data, size)]
        return size + (payload(size, data, pointer) if payload is not None else 0)

    return _Size(max(size.fixed for size in cases.values()), measure)
