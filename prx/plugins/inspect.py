"""What a compiled component imports and exports, read once into plain values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from prx.plugins.abi import wit
from prx.plugins.abi.wit import Prim, WitType

_PRIMITIVES: dict[type, Prim] = {
    wasm.Bool: Prim.BOOL,
    wasm.S8: Prim.S8,
    wasm.U8: Prim.U8,
    wasm.S16: Prim.S16,
    wasm.U16: Prim.U16,
    wasm.S32: Prim.S32,
    wasm.U32: Prim.U32,
    wasm.S64: Prim.S64,
    wasm.U64: Prim.U64,
    wasm.F32: Prim.F32,
    wasm.F64: Prim.F64,
    wasm.Char: Prim.CHAR,
    wasm.String: Prim.STRING,
}


class UnsupportedTypeError(Exception):
    """A function takes or returns something that has no JSON form: a resource, a stream, a future."""


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """One imported or exported function; compared by identity, as the key of every call."""

    interface: str | None
    """The exported or imported interface it belongs to, `None` at the root."""
    name: str
    type: wit.FuncType | None
    """`None` where `skipped` tells why it cannot be called."""
    skipped: str | None = None

    def __str__(self) -> str:
        """Return `interface#name`, as WIT tools write it."""
        return f"{self.interface}#{self.name}" if self.interface else self.name


@dataclass(frozen=True, slots=True)
class Inspection:
    """The outside of a component."""

    imports: tuple[Function, ...]
    imported_interfaces: tuple[str, ...]
    exports: tuple[Function, ...]

    def exported_interfaces(self) -> set[str]:
        """Return the names of the exported interfaces that have functions."""
        return {function.interface for function in self.exports if function.interface is not None}


def inspect(component: wasm.Component, engine: Engine) -> Inspection:
    """Read the imports and exports of `component`."""
    with component.type as outside:
        imports = outside.imports(engine)
        exports = outside.exports(engine)
        return Inspection(
            imports=tuple(_functions(imports, engine)),
            imported_interfaces=tuple(imports),
            exports=tuple(_functions(exports, engine)),
        )


def _functions(externs: dict[str, Any], engine: Engine) -> Iterator[Function]:
    for name, extern in externs.items():
        item = extern.ty
        if isinstance(item, wasm.FuncType):
            yield _function(None, name, item)
        elif isinstance(item, wasm.ComponentInstanceType):
            for inner, inner_extern in item.exports(engine).items():
                inner_item = inner_extern.ty
                if isinstance(inner_item, wasm.FuncType):
                    yield _function(name, inner, inner_item)


def _function(interface: str | None, name: str, item: wasm.FuncType) -> Function:
    try:
        params = tuple((param, _wit_type(ty)) for param, ty in item.params)
        result = _wit_type(item.result) if item.result is not None else None
    except UnsupportedTypeError as error:
        return Function(interface, name, None, skipped=str(error))
    return Function(interface, name, wit.FuncType(params, result))


def _wit_type(ty: Any) -> WitType:
    if (prim := _PRIMITIVES.get(type(ty))) is not None:
        return prim
    match ty:
        case wasm.ListType():
            return wit.ListType(_wit_type(ty.element))
        case wasm.RecordType():
            return wit.RecordType(tuple((name, _wit_type(field)) for name, field in ty.fields))
        case wasm.TupleType():
            return wit.TupleType(tuple(_wit_type(element) for element in ty.elements))
        case wasm.VariantType():
            return wit.VariantType(tuple((name, _payload(case)) for name, case in ty.cases))
        case wasm.EnumType():
            return wit.EnumType(tuple(str(ty.name(index)) for index in range(ty.names_count)))
        case wasm.FlagsType():
            return wit.FlagsType(tuple(ty.names))
        case wasm.OptionType():
            return wit.OptionType(_wit_type(ty.payload))
        case wasm.ResultType():
            return wit.ResultType(_payload(ty.ok), _payload(ty.err))
        case _:
            raise UnsupportedTypeError(f"it takes or returns a {_kind(ty)}, which has no JSON form")


def _payload(ty: Any) -> WitType | None:
    return None if ty is None else _wit_type(ty)


def _kind(ty: Any) -> str:
    names = {wasm.OwnType: "resource", wasm.BorrowType: "resource", wasm.StreamType: "stream"}
    return names.get(type(ty), "future" if isinstance(ty, wasm.FutureType) else type(ty).__name__)
