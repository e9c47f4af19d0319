"""How much text and how many bytes a value holds, told before any of it is copied into Python."""

from collections.abc import Callable

from prx.plugins.abi.ffi import ENTRY, VAL, string_at
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
)

Measure = Callable[[int, int, int], int]


def compile_measure(wit_type: WitType | None) -> Measure | None:
    """Return the closure that tells the bytes of a value of `wit_type`, or `None` where its size is fixed.

    Text counts its UTF-8 bytes, a list one for each element and what the elements hold.
    """
    match wit_type:
        case Prim.STRING:
            return _size
        case None | Prim() | EnumType() | FlagsType():
            return None
        case ListType(element=element):
            return _list(compile_measure(element))
        case RecordType(fields=fields):
            return _parts([compile_measure(field) for _, field in fields], named=True)
        case TupleType(elements=elements):
            return _parts([compile_measure(element) for element in elements], named=False)
        case OptionType(payload=payload):
            return _behind(compile_measure(payload), word=0)
        case ResultType(ok=ok, err=err):
            return _result(compile_measure(ok), compile_measure(err))
        case VariantType(cases=cases):
            return _variant({name.encode(): compile_measure(payload) for name, payload in cases})


def _size(size: int, _1: int, _2: int) -> int:
    return size


def _list(element: Measure | None) -> Measure:
    if element is None:
        return _size

    def measure(size: int, data: int, _2: int) -> int:
        items = VAL.iter_unpack(string_at(data, size * VAL.size)) if size else ()
        return size + sum(element(a, b, c) for _, a, b, c in items)

    return measure


def _parts(parts: list[Measure | None], *, named: bool) -> Measure | None:
    if not any(parts):
        return None
    layout = ENTRY if named else VAL

    def measure(size: int, data: int, _2: int) -> int:
        items = layout.iter_unpack(string_at(data, size * layout.size))
        return sum(part(*item[-3:]) for part, item in zip(parts, items, strict=True) if part is not None)

    return measure


def _behind(payload: Measure | None, *, word: int) -> Measure | None:
    if payload is None:
        return None

    def measure(*words: int) -> int:
        pointer = words[word]
        return payload(*VAL.unpack(string_at(pointer, VAL.size))[1:]) if pointer else 0

    return measure


def _result(ok: Measure | None, err: Measure | None) -> Measure | None:
    sides = (_behind(err, word=1), _behind(ok, word=1))
    if not any(sides):
        return None

    def measure(is_ok: int, pointer: int, _2: int) -> int:
        side = sides[is_ok & 1]
        return side(is_ok, pointer, _2) if side is not None else 0

    return measure


def _variant(cases: dict[bytes, Measure | None]) -> Measure | None:
    payloads = {name: _behind(payload, word=2) for name, payload in cases.items()}
    if not any(payloads.values()):
        return None

    def measure(size: int, data: int, pointer: int) -> int:
        payload = payloads[string_at(data, size)]
        return payload(size, data, pointer) if payload is not None else 0

    return measure
