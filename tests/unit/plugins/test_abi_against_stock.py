"""The value codec against stock wasmtime-py, which converts by its own code: both agree on what lies in memory."""

import base64
import ctypes
import struct
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import Engine
from wasmtime import _ffi as stock_ffi
from wasmtime import component as stock

from prx.plugins.abi import ffi, wit
from prx.plugins.abi.ffi import VAL
from prx.plugins.abi.lift import compile_lift
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.memory import Owned
from prx.plugins.abi.wit import Prim, WitType, snake
from prx.plugins.inspect import inspect
from tests.components.corpus import component
from tests.support.examples import costly
from tests.support.wit_types import json_values


@cache
def types() -> dict[str, tuple[WitType, Any]]:
    """The type of each function of every-type, as this host and as stock wasmtime-py have it."""
    engine = Engine()
    compiled = stock.Component(engine, component("every-type"))
    [interface] = compiled.type.exports(engine).values()
    theirs = {name: extern.ty for name, extern in interface.ty.exports(engine).items()}
    return {
        function.name: (function.type.params[0][1], theirs[function.name].params[0][1])
        for function in inspect(compiled, engine).exports
        if function.type is not None
    }


def as_stock(wit_type: WitType, ty: Any, value: Any) -> Any:
    """Return a JSON value as stock wasmtime-py takes it."""
    match wit_type:
        case Prim.S64 | Prim.U64:
            return int(value)
        case Prim.F32 | Prim.F64:
            return float(value)
        case Prim():
            return value
        case wit.ListType(element=Prim.U8):
            return base64.b64decode(value)
        case wit.ListType(element=element):
            return [as_stock(element, ty.element, item) for item in value]
        case wit.RecordType(fields=fields):
            inner = dict(ty.fields)
            return SimpleNamespace(**{n: as_stock(t, inner[n], value[snake(n)]) for n, t in fields})
        case wit.TupleType(elements=elements):
            return tuple(map(as_stock, elements, ty.elements, value))
        case _:
            return _choice_as_stock(wit_type, ty, value)


def _choice_as_stock(wit_type: Any, ty: Any, value: Any) -> Any:
    match wit_type:
        case wit.EnumType(cases=names):
            return next(name for name in names if snake(name) == value)
        case wit.FlagsType(names=names):
            return {name for name in names if snake(name) in value}
        case wit.OptionType(payload=payload):
            inner = value["some"] if value is not None and isinstance(payload, wit.OptionType) else value
            return _case(ty, "none" if value is None else "some", None if value is None else payload, inner)
        case wit.ResultType(ok=ok, err=err):
            [(name, inner)] = value.items()
            return _case(ty, name, ok if name == "ok" else err, inner)
        case _:
            [(short, inner)] = [(value, None)] if isinstance(value, str) else value.items()
            name, payload = next((n, t) for n, t in wit_type.cases if snake(n) == short)
            return _case(ty, name, payload, inner)


def _case(ty: Any, name: str, payload: WitType | None, value: Any) -> Any:
    converted = None if payload is None else as_stock(payload, dict(ty._cases())[name], value)
    # A case stands for itself where its Python type tells it apart from the others.
    return stock.Variant(name, converted) if ty._tagged() else converted


def plain(value: Any) -> Any:
    """Make stock values comparable: records compare by identity there, and nan never equals itself."""
    match value:
        case float():
            return struct.pack("<d", value)
        case list() | tuple():
            return [plain(item) for item in value]
        case stock.Variant(tag=tag, payload=payload):
            return tag, plain(payload)
        case stock.Record() | SimpleNamespace():
            return {name: plain(item) for name, item in vars(value).items()}
        case _:
            return value


def in_order(wit_type: WitType, value: Any) -> Any:
    """Sort flags, which are a set to stock wasmtime-py."""
    return sorted(value) if isinstance(wit_type, wit.FlagsType) else value


@pytest.mark.parametrize("name", types())
@costly()
@given(data=st.data())
def test_the_stock_path_reads_what_is_lowered(name: str, data: st.DataObject) -> None:
    wit_type, ty = types()[name]
    value = data.draw(json_values(wit_type))
    words = compile_lower(wit_type, "base64")(value, Owned())
    raw = stock_ffi.wasmtime_component_val_t.from_buffer_copy(VAL.pack(*words))
    assert plain(ty.convert_from_c(raw)) == plain(as_stock(wit_type, ty, value))


@pytest.mark.parametrize("name", types())
@costly()
@given(data=st.data())
def test_what_the_stock_path_writes_is_lifted(name: str, data: st.DataObject) -> None:
    wit_type, ty = types()[name]
    value = data.draw(json_values(wit_type))
    raw = stock_ffi.wasmtime_component_val_t()
    ty.convert_to_c(None, as_stock(wit_type, ty, value), ctypes.pointer(raw))
    _, *words = VAL.unpack(bytes(raw))
    back = compile_lift(wit_type, "base64")(*words)
    ffi.val_delete(ctypes.addressof(raw))
    assert in_order(wit_type, back) == in_order(wit_type, value)
