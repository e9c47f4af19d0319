"""WIT types and JSON values of them, for property tests."""

import base64
import math
from typing import Any

from hypothesis import strategies as st

from prx.plugins.abi import wit
from prx.plugins.abi.wit import Prim, WitType, snake

_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,4}(-[a-z][a-z0-9]{0,3}){0,2}", fullmatch=True)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_BITS = {
    Prim.S8: (-(2**7), 2**7 - 1),
    Prim.U8: (0, 2**8 - 1),
    Prim.S16: (-(2**15), 2**15 - 1),
    Prim.U16: (0, 2**16 - 1),
    Prim.S32: (-(2**31), 2**31 - 1),
    Prim.U32: (0, 2**32 - 1),
    Prim.S64: (-(2**63), 2**63 - 1),
    Prim.U64: (0, 2**64 - 1),
}
_SAFE = 2**53


def _unique_names(least: int = 1, most: int = 4) -> st.SearchStrategy[list[str]]:
    # As the component model has it: "a-b" and "ab" are one name.
    return st.lists(_NAMES, min_size=least, max_size=most, unique_by=lambda name: name.replace("-", ""))


def _leaves() -> st.SearchStrategy[WitType]:
    return (
        st.sampled_from(Prim)
        | _unique_names().map(lambda names: wit.EnumType(tuple(names)))
        | _unique_names().map(lambda names: wit.FlagsType(tuple(names)))
    )


def _compounds(inner: st.SearchStrategy[WitType]) -> st.SearchStrategy[WitType]:
    def named(types: list[Any]) -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
        names = _unique_names(len(types), len(types))
        return names.map(lambda names: tuple(zip(names, types, strict=True)))

    some = st.lists(inner, min_size=1, max_size=3)
    maybe = st.none() | inner
    return (
        inner.map(wit.ListType)
        | inner.map(wit.OptionType)
        | st.builds(wit.ResultType, maybe, maybe)
        | some.map(lambda types: wit.TupleType(tuple(types)))
        | some.flatmap(named).map(wit.RecordType)
        | st.lists(maybe, min_size=1, max_size=3).flatmap(named).map(wit.VariantType)
    )


WIT_TYPES: st.SearchStrategy[WitType] = st.recursive(_leaves(), _compounds, max_leaves=6)


def json_values(wit_type: WitType) -> st.SearchStrategy[Any]:
    """Return JSON values of `wit_type` in the form in which the host itself writes them."""
    match wit_type:
        case Prim():
            return _scalars(wit_type)
        case wit.ListType(element=Prim.U8):
            return st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())
        case wit.ListType(element=element):
            return st.lists(json_values(element), max_size=4)
        case wit.RecordType(fields=fields):
            return st.fixed_dictionaries({snake(name): json_values(field) for name, field in fields})
        case wit.TupleType(elements=elements):
            return st.tuples(*map(json_values, elements)).map(list)
        case _:
            return _choices(wit_type)


def _scalars(prim: Prim) -> st.SearchStrategy[Any]:
    match prim:
        case Prim.BOOL:
            return st.booleans()
        case Prim.CHAR:
            return st.characters(codec="utf-8")
        case Prim.STRING:
            return _TEXT
        case Prim.F32 | Prim.F64:
            return st.floats(width=32 if prim is Prim.F32 else 64).map(_as_json_float)
        case _:
            return st.integers(*_BITS[prim]).map(lambda n: n if abs(n) <= _SAFE else str(n))


def _choices(wit_type: Any) -> st.SearchStrategy[Any]:
    match wit_type:
        case wit.EnumType(cases=names):
            return st.sampled_from(names).map(snake)
        case wit.FlagsType(names=names):
            chosen = st.sets(st.sampled_from(names))
            return chosen.map(lambda some: [snake(name) for name in names if name in some])
        case wit.OptionType(payload=payload):
            inner = json_values(payload)
            nested = isinstance(payload, wit.OptionType)
            return st.none() | (inner.map(lambda value: {"some": value}) if nested else inner)
        case wit.ResultType(ok=ok, err=err):
            return _single("ok", ok) | _single("err", err)
        case _:
            named = [(snake(name), payload) for name, payload in wit_type.cases]
            return st.one_of(*(st.just(n) if t is None else _single(n, t) for n, t in named))


def _single(key: str, payload: WitType | None) -> st.SearchStrategy[Any]:
    return (st.none() if payload is None else json_values(payload)).map(lambda value: {key: value})


def _as_json_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def typed_values() -> st.SearchStrategy[tuple[WitType, Any]]:
    """Return types, each with a value of it."""
    return WIT_TYPES.flatmap(lambda wit_type: st.tuples(st.just(wit_type), json_values(wit_type)))
