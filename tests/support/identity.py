"""A component for any WIT types at all: its one function gives back what it is given.

The canonical ABI hands a guest up to 16 core values, or the address of its arguments where there are more, and takes
one core value or the address of the result. The function here does with them what a compiler would have it do: it
writes the core values into memory in the layout of the result.
https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md
"""

from collections.abc import Iterator, Sequence
from itertools import count, zip_longest

from wasmtime import wat2wasm

from prx.plugins.abi import wit
from prx.plugins.abi.wit import Prim, WitType

_MAX_FLAT_PARAMS = 16
_RESULT = 64
"""Where the result lies; what the host passes through `realloc` lies behind it."""
_HEAP = 8192
_BYTES = {
    Prim.BOOL: 1, Prim.S8: 1, Prim.U8: 1, Prim.S16: 2, Prim.U16: 2, Prim.S32: 4, Prim.U32: 4, Prim.S64: 8,
    Prim.U64: 8, Prim.F32: 4, Prim.F64: 8, Prim.CHAR: 4,
}  # fmt: skip
_CORE = {Prim.S64: "i64", Prim.U64: "i64", Prim.F32: "f32", Prim.F64: "f64"}
_STORE = {1: "i32.store8", 2: "i32.store16", 4: "i32.store"}
# How a value comes out of a place that several cases of a variant share.
_TAKEN_OUT = {
    ("i32", "f32"): "(f32.reinterpret_i32 {})",
    ("i64", "i32"): "(i32.wrap_i64 {})",
    ("i64", "f32"): "(f32.reinterpret_i32 (i32.wrap_i64 {}))",
    ("i64", "f64"): "(f64.reinterpret_i64 {})",
}


def identity_component(types: Sequence[WitType]) -> bytes:
    """Return a component that exports `same`: with a parameter for each of `types`, it returns them.

    One comes back by itself, several as a tuple.
    """
    returned = types[0] if len(types) == 1 else wit.TupleType(tuple(types))
    names = _Names()
    params = " ".join(f'(param "p{index}" {names.refer(ty)})' for index, ty in enumerate(types))
    result = names.refer(returned)
    return bytes(
        wat2wasm(f"""(component
  {" ".join(names.definitions)}
  (core module $guest
    (memory (export "memory") 2)
    (global $end (mut i32) (i32.const {_HEAP}))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $end) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $end (i32.add (local.get $at) (local.get $size)))
      (block $fits
        (loop $more
          (br_if $fits (i32.le_u (global.get $end) (i32.shl (memory.size) (i32.const 16))))
          (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
          (br $more)))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      local.get $at)
    (func (export "free-all") (param i32) (global.set $end (i32.const {_HEAP})))
    {_same(returned)})
  (core instance $guest (instantiate $guest))
  (func (export "same") {params} (result {result})
    (canon lift (core func $guest "same") (memory (core memory $guest "memory"))
      (realloc (core func $guest "realloc")){_post_return(returned)})))""")
    )


def _same(ty: WitType) -> str:
    flat = list(flattened(ty))
    if len(flat) > _MAX_FLAT_PARAMS:
        return '(func (export "same") (param i32) (result i32) local.get 0)'
    params = " ".join(f"(param {core})" for core in flat)
    if len(flat) == 1:
        return f'(func (export "same") {params} (result {flat[0]}) local.get 0)'
    values = [f"(local.get {index})" for index in range(len(flat))]
    stores = " ".join(_stores(ty, _RESULT, values))
    return f'(func (export "same") {params} (result i32) {stores} (i32.const {_RESULT}))'


def _post_return(ty: WitType) -> str:
    # It takes what the function returned, which is an address only where the result is in memory.
    return ' (post-return (core func $guest "free-all"))' if len(list(flattened(ty))) > 1 else ""


class _Names:
    """The types of a component that must have a name before a function may use them."""

    def __init__(self) -> None:
        self.definitions: list[str] = []
        self._names: dict[WitType, str] = {}
        self._numbers = count()

    def refer(self, ty: WitType) -> str:
        """Return how to write `ty`, defined in `definitions` where it needs a name."""
        match ty:
            case Prim():
                return str(ty)
            case wit.ListType(element=element):
                return f"(list {self.refer(element)})"
            case wit.TupleType(elements=elements):
                return f"(tuple {' '.join(map(self.refer, elements))})"
            case wit.OptionType(payload=payload):
                return f"(option {self.refer(payload)})"
            case wit.ResultType(ok=ok, err=err):
                return f"(result{self._payload(ok)}" + (
                    f" (error{self._payload(err)}))" if err is not None else ")"
                )
            case _:
                if ty not in self._names:
                    definition = self._definition(ty)  # what it is made of comes first
                    number = next(self._numbers)
                    self._names[ty] = f"$t{number}"
                    self.definitions.append(
                        f'(type $d{number} {definition}) (import "t{number}" (type $t{number} (eq $d{number})))'
                    )
                return self._names[ty]

    def _definition(self, ty: WitType) -> str:
        match ty:
            case wit.RecordType(fields=fields):
                return (
                    "(record "
                    + " ".join(f'(field "{name}" {self.refer(field)})' for name, field in fields)
                    + ")"
                )
            case wit.VariantType(cases=cases):
                return (
                    "(variant " + " ".join(f'(case "{name}"{self._payload(ty)})' for name, ty in cases) + ")"
                )
            case wit.EnumType(cases=labels):
                return f"(enum {_quoted(labels)})"
            case wit.FlagsType(names=labels):
                return f"(flags {_quoted(labels)})"
            case _:
                raise TypeError(f"{ty} needs no name")

    def _payload(self, ty: WitType | None) -> str:
        return "" if ty is None else f" {self.refer(ty)}"


def _quoted(labels: Sequence[str]) -> str:
    return " ".join(f'"{label}"' for label in labels)


def flattened(ty: WitType) -> Iterator[str]:
    """Yield the core types that a value of `ty` is passed as."""
    match ty:
        case Prim.STRING | wit.ListType():
            yield from ("i32", "i32")
        case Prim():
            yield _CORE.get(ty, "i32")
        case wit.EnumType() | wit.FlagsType():
            yield "i32"
        case wit.RecordType() | wit.TupleType():
            for part in _parts(ty):
                yield from flattened(part)
        case _:
            yield "i32"
            sides = [list(flattened(case)) if case is not None else [] for case in _cases(ty)]
            for together in zip_longest(*sides):
                yield _joined({core for core in together if core is not None})


def _joined(cores: set[str]) -> str:
    if len(cores) == 1:
        return cores.pop()
    return "i32" if cores == {"i32", "f32"} else "i64"


def _parts(ty: WitType) -> list[WitType]:
    if isinstance(ty, wit.RecordType):
        return [field for _, field in ty.fields]
    assert isinstance(ty, wit.TupleType)
    return list(ty.elements)


def _cases(ty: WitType) -> list[WitType | None]:
    match ty:
        case wit.VariantType(cases=cases):
            return [payload for _, payload in cases]
        case wit.OptionType(payload=payload):
            return [None, payload]
        case wit.ResultType(ok=ok, err=err):
            return [ok, err]
        case _:
            raise TypeError(f"{ty} has no cases")


def _align(ty: WitType) -> int:
    match ty:
        case Prim.STRING | wit.ListType():
            return 4
        case Prim():
            return _BYTES[ty]
        case wit.EnumType(cases=labels):
            return _discriminant(len(labels))
        case wit.FlagsType(names=labels):
            return _flags_bytes(len(labels))
        case wit.RecordType() | wit.TupleType():
            return max(map(_align, _parts(ty)))
        case _:
            cases = _cases(ty)
            return max(_discriminant(len(cases)), *(_align(case) for case in cases if case is not None), 1)


def _size(ty: WitType) -> int:
    match ty:
        case Prim.STRING | wit.ListType():
            return 8
        case wit.RecordType() | wit.TupleType():
            end = 0
            for part in _parts(ty):
                end = _up(end, _align(part)) + _size(part)
            return _up(end, _align(ty))
        case Prim() | wit.EnumType() | wit.FlagsType():
            return _align(ty)
        case _:
            largest = max((_size(case) for case in _cases(ty) if case is not None), default=0)
            return _up(_payload_offset(ty) + largest, _align(ty))


def _up(offset: int, align: int) -> int:
    return -(-offset // align) * align


def _discriminant(cases: int) -> int:
    return 1 if cases <= 1 << 8 else 2 if cases <= 1 << 16 else 4


def _flags_bytes(flags: int) -> int:
    return 1 if flags <= 8 else 2 if flags <= 16 else 4


def _payload_offset(ty: WitType) -> int:
    cases = _cases(ty)
    payloads = max((_align(case) for case in cases if case is not None), default=1)
    return _up(_discriminant(len(cases)), payloads)


def _stores(ty: WitType, at: int, values: list[str]) -> Iterator[str]:
    """Yield the instructions that write a value of `ty`, passed as `values`, to the address `at`."""
    match ty:
        case Prim.STRING | wit.ListType():
            yield f"(i32.store (i32.const {at}) {values[0]}) (i32.store (i32.const {at + 4}) {values[1]})"
        case Prim() if ty in _CORE:
            yield f"({_CORE[ty]}.store (i32.const {at}) {values[0]})"
        case Prim() | wit.EnumType() | wit.FlagsType():
            yield f"({_STORE[_size(ty)]} (i32.const {at}) {values[0]})"
        case wit.RecordType() | wit.TupleType():
            taken = 0
            for part in _parts(ty):
                at = _up(at, _align(part))
                wide = len(list(flattened(part)))
                yield from _stores(part, at, values[taken : taken + wide])
                at, taken = at + _size(part), taken + wide
        case _:
            yield from _case_stores(ty, at, values)


def _case_stores(ty: WitType, at: int, values: list[str]) -> Iterator[str]:
    cases = _cases(ty)
    yield f"({_STORE[_discriminant(len(cases))]} (i32.const {at}) {values[0]})"
    shared = list(flattened(ty))[1:]
    for number, case in enumerate(cases):
        if case is None:
            continue
        own = [
            _TAKEN_OUT.get((place, core), "{}").format(value)
            for place, core, value in zip(shared, flattened(case), values[1:], strict=False)
        ]
        stores = " ".join(_stores(case, at + _payload_offset(ty), own))
        yield f"(if (i32.eq {values[0]} (i32.const {number})) (then {stores}))"
