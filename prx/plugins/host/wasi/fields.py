"""The resource `fields` of `wasi:http/types`: headers, checked by the guard's own rules as they are set."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from prx.core.egress.errors import EgressRefusedError
from prx.plugins.abi.wit import ListType, Prim, ResultType, TupleType, VariantType, WitType
from prx.plugins.calls import Call
from prx.plugins.host.wasi.functions import BYTES, STRING, ResourceFunctions, WasiFunction, own
from prx.plugins.host.wasi.resources import Resource, Resources, misused, resources_of
from prx.runtime.egress.headers import check_form, is_refused

INTERFACE: Final = "wasi:http/types"
_MAX_BYTES: Final = 64 * 1024
_MAX_ENTRIES: Final = 1024

Entry = tuple[str, bytes]
_Result = dict[str, Any]


class Fields(Resource):
    """Headers in order, as the guest spelled them."""

    resource: ClassVar[str] = "fields"

    def __init__(self, entries: Iterable[Entry] = (), *, fixed: bool = False) -> None:
        """Have `entries`; `fixed` ones cannot be changed."""
        self.entries = list(entries)
        self.fixed = fixed

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return sum(len(name) + len(value) for name, value in self.entries)

    def values(self, name: str) -> list[bytes]:
        """Return the values of the header `name`."""
        return [value for key, value in self.entries if key.lower() == name.lower()]

    def as_text(self) -> list[tuple[str, str]]:
        """Return the entries as the guard takes them."""
        return [(name, value.decode()) for name, value in self.entries]

    def change(self, resources: Resources, entries: list[Entry], new: Sequence[Entry]) -> _Result:
        """Replace the entries by `entries` and `new`, where the new ones may be set."""
        if self.fixed:
            return {"err": "immutable"}
        for name, value in new:
            if fault := _fault(name, value):
                return {"err": fault}
        size = self.size
        self.entries = [*entries, *new]
        if len(self.entries) > _MAX_ENTRIES or self.size > _MAX_BYTES:
            raise misused(
                f"makes a header section of {len(self.entries)} fields and {self.size} bytes: "
                f"{_MAX_ENTRIES} and {_MAX_BYTES} are taken"
            )
        if self.size > size:
            resources.hold(self, 0)
        return {"ok": None}


def _fault(name: str, value: bytes) -> str | None:
    try:
        check_form(name, value.decode())
    except (EgressRefusedError, UnicodeDecodeError):
        return "invalid_syntax"
    return "forbidden" if is_refused(name) else None


def _new(_call: Call) -> Fields:
    return Fields()


def _from_list(call: Call, entries: list[list[Any]]) -> _Result:
    fields = Fields()
    changed = fields.change(resources_of(call), [], [(name, value) for name, value in entries])
    return changed if "err" in changed else {"ok": fields}


def _get(_call: Call, fields: Fields, name: str) -> list[bytes]:
    return fields.values(name)


def _has(_call: Call, fields: Fields, name: str) -> bool:
    return bool(fields.values(name))


def _set(call: Call, fields: Fields, name: str, values: list[bytes]) -> _Result:
    if fault := _fault(name, b""):
        return {"err": fault}
    return fields.change(resources_of(call), _without(fields, name), [(name, value) for value in values])


def _append(call: Call, fields: Fields, name: str, value: bytes) -> _Result:
    return fields.change(resources_of(call), fields.entries, [(name, value)])


def _delete(call: Call, fields: Fields, name: str) -> _Result:
    if fault := _fault(name, b""):
        return {"err": fault}
    return fields.change(resources_of(call), _without(fields, name), [])


def _without(fields: Fields, name: str) -> list[Entry]:
    return [(key, value) for key, value in fields.entries if key.lower() != name.lower()]


def _entries(_call: Call, fields: Fields) -> list[Entry]:
    return fields.entries


def _clone(call: Call, fields: Fields) -> Fields:
    clone = Fields(fields.entries)
    resources_of(call).hold(clone, 0)
    return clone


_ENTRIES: Final = ListType(TupleType((STRING, BYTES)))
_VALUES: Final = ListType(BYTES)
_ERROR: Final = VariantType((("invalid-syntax", None), ("forbidden", None), ("immutable", None)))
_CHANGED: Final = ResultType(None, _ERROR)
_NAME: Final[dict[str, WitType]] = {"name": STRING}

_fields = ResourceFunctions(INTERFACE, "fields")

FUNCTIONS: Final[list[WasiFunction]] = [
    _fields.constructor({}, _new),
    _fields.static("from-list", {"entries": _ENTRIES}, ResultType(own("fields"), _ERROR), _from_list),
    _fields.method("get", _NAME, _VALUES, _get),
    _fields.method("has", _NAME, Prim.BOOL, _has),
    _fields.method("set", {**_NAME, "value": _VALUES}, _CHANGED, _set),
    _fields.method("delete", _NAME, _CHANGED, _delete),
    _fields.method("append", {**_NAME, "value": BYTES}, _CHANGED, _append),
    _fields.method("entries", {}, _ENTRIES, _entries),
    _fields.method("clone", {}, own("fields"), _clone),
]
