"""WIT types as plain Python values, free of the engine that they came from."""

from dataclasses import dataclass, field
from enum import Enum


class Prim(Enum):
    """The types without parts; the value is the WIT keyword."""

    BOOL = "bool"
    S8 = "s8"
    U8 = "u8"
    S16 = "s16"
    U16 = "u16"
    S32 = "s32"
    U32 = "u32"
    S64 = "s64"
    U64 = "u64"
    F32 = "f32"
    F64 = "f64"
    CHAR = "char"
    STRING = "string"

    def __str__(self) -> str:
        """Return the WIT keyword."""
        return self.value


@dataclass(frozen=True, slots=True)
class ListType:
    """`list<element>`."""

    element: "WitType"

    def __str__(self) -> str:
        """Return the type as WIT text."""
        return f"list<{self.element}>"


@dataclass(frozen=True, slots=True)
class RecordType:
    """`record { name: type, ... }`."""

    fields: tuple[tuple[str, "WitType"], ...]

    def __str__(self) -> str:
        """Return the type as WIT text."""
        return "record { " + ", ".join(f"{name}: {field}" for name, field in self.fields) + " }"


@dataclass(frozen=True, slots=True)
class TupleType:
    """`tuple<a, b>`."""

    elements: tuple["WitType", ...]

    def __str__(self) -> str:
        """Return the type as WIT text."""
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True, slots=True)
class VariantType:
    """`variant { case(type), case }`."""

    cases: tuple[tuple[str, "WitType | None"], ...]

    def __str__(self) -> str:
        """Return the type as WIT text."""
        cases = (name if payload is None else f"{name}({payload})" for name, payload in self.cases)
        return "variant { " + ", ".join(cases) + " }"


@dataclass(frozen=True, slots=True)
class EnumType:
    """`enum { case, ... }`."""

    cases: tuple[str, ...]

    def __str__(self) -> str:
        """Return the type as WIT text."""
        return "enum { " + ", ".join(self.cases) + " }"


@dataclass(frozen=True, slots=True)
class FlagsType:
    """`flags { name, ... }`."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return the type as WIT text."""
        return "flags { " + ", ".join(self.names) + " }"


@dataclass(frozen=True, slots=True)
class OptionType:
    """`option<payload>`."""

    payload: "WitType"

    def __str__(self) -> str:
        """Return the type as WIT text."""
        return f"option<{self.payload}>"


@dataclass(frozen=True, slots=True)
class ResultType:
    """`result<ok, err>`, either of which may be missing."""

    ok: "WitType | None"
    err: "WitType | None"

    def __str__(self) -> str:
        """Return the type as WIT text."""
        if self.err is not None:
            return f"result<{self.ok or '_'}, {self.err}>"
        return "result" if self.ok is None else f"result<{self.ok}>"


@dataclass(frozen=True, slots=True)
class Handle:
    """`own<resource>` or `borrow<resource>`: only functions that the host serves have them, no tool does."""

    owned: bool
    resource: str = field(default="", compare=False)
    """Empty where it was read from a component, which names it its own way; each handle is checked when it comes."""

    def __str__(self) -> str:
        """Return the type as WIT text."""
        return f"{'own' if self.owned else 'borrow'}<{self.resource or '_'}>"


Compound = ListType | RecordType | TupleType | VariantType | EnumType | FlagsType | OptionType | ResultType
WitType = Prim | Compound | Handle


@dataclass(frozen=True, slots=True)
class FuncType:
    """`func(name: type, ...) -> type`."""

    params: tuple[tuple[str, WitType], ...]
    result: WitType | None

    def fits(self, other: "FuncType") -> bool:
        """Tell whether a call of the one can be a call of the other: parameters may have other names."""
        return self.result == other.result and [ty for _, ty in self.params] == [ty for _, ty in other.params]

    def __str__(self) -> str:
        """Return the type as WIT text."""
        params = ", ".join(f"{name}: {param}" for name, param in self.params)
        return f"func({params})" + (f" -> {self.result}" if self.result is not None else "")


def snake(name: str) -> str:
    """Return a WIT name as it appears in JSON and in tool names."""
    return name.replace("-", "_").lower()
