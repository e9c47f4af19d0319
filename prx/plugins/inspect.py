"""What a compiled component imports and exports, read once into plain values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from prx.plugins.abi import wit
from prx.plugins.abi.wit import Prim, WitType
from prx.plugins.errors import LoadError

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


_MAX_PARTS = 20_000


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
    """Read the imports and exports of `component`.

    Raises:
        LoadError: its types are larger than any caller could use.
    """
    reader = _Reader(engine)
    with component.type as outside:
        imports = outside.imports(engine)
        exports = outside.exports(engine)
        # The host serves every function with a handle itself, or none: only then are their types of interest.
        handles = any(name.startswith("wasi:http/") for name in imports)
        return Inspection(
            imports=tuple(reader.functions(imports, handles=handles)),
            imported_interfaces=tuple(imports),
            exports=tuple(reader.functions(exports)),
        )


class _Reader:
    """Reads types, up to a number of parts: a type can name itself twice in the next, and that one in the next."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parts = 0
        self._handles = False

    def functions(self, externs: dict[str, Any], *, handles: bool = False) -> Iterator[Function]:
        self._handles = handles
        for name, extern in externs.items():
            item = extern.ty
            if isinstance(item, wasm.FuncType):
                yield self._function(None, name, item)
            elif isinstance(item, wasm.ComponentInstanceType):
                for inner, inner_extern in item.exports(self._engine).items():
                    inner_item = inner_extern.ty
                    if isinstance(inner_item, wasm.FuncType):
                        yield self._function(name, inner, inner_item)

    def _function(self, interface: str | None, name: str, item: wasm.FuncType) -> Function:
        try:
            params = tuple((param, self._type(ty)) for param, ty in item.params)
            result = self._type(item.result) if item.result is not None else None
        except UnsupportedTypeError as error:
            return Function(interface, name, None, skipped=str(error))
        return Function(interface, name, wit.FuncType(params, result))

    def _type(self, ty: Any) -> WitType:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise LoadError(
                f"the types of its functions have more than {_MAX_PARTS} parts: no caller could use them; simplify them"
            )
        if (prim := _PRIMITIVES.get(type(ty))) is not None:
            return prim
        match ty:
            case wasm.ListType():
                return wit.ListType(self._type(ty.element))
            case wasm.RecordType():
                return wit.RecordType(tuple((name, self._type(field)) for name, field in ty.fields))
            case wasm.TupleType():
                return wit.TupleType(tuple(self._type(element) for element in ty.elements))
            case wasm.VariantType():
                return wit.VariantType(tuple((name, self._payload(case)) for name, case in ty.cases))
            case wasm.EnumType():
                return wit.EnumType(tuple(str(ty.name(index)) for index in range(ty.names_count)))
            case wasm.FlagsType():
                return wit.FlagsType(tuple(ty.names))
            case wasm.OptionType():
                return wit.OptionType(self._type(ty.payload))
            case wasm.ResultType():
                return wit.ResultType(self._payload(ty.ok), self._payload(ty.err))
            case wasm.OwnType() | wasm.BorrowType() if self._handles:
                return wit.Handle(owned=isinstance(ty, wasm.OwnType))
            case _:
                raise UnsupportedTypeError(f"it takes or returns a {_kind(ty)}, which has no JSON form")

    def _payload(self, ty: Any) -> WitType | None:
        return None if ty is None else self._type(ty)


def _kind(ty: Any) -> str:
    names = {wasm.OwnType: "resource", wasm.BorrowType: "resource", wasm.StreamType: "stream"}
    return names.get(type(ty), "future" if isinstance(ty, wasm.FutureType) else type(ty).__name__)
