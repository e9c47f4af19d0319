"""Functions of WASI interfaces as data, and how the engine reaches them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from prx.plugins.abi.lift import Lift, compile_lift
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.wit import FuncType, Handle, ListType, Prim, ResultType, WitType
from prx.plugins.calls import Call
from prx.plugins.host.functions import guarded
from prx.plugins.host.wasi.resources import lift_handle, lower_handle, misused

_MAX_ITEMS: Final = 1024
_MAX_BYTES: Final = 1024 * 1024

BYTES: Final = ListType(Prim.U8)
U64: Final = Prim.U64
STRING: Final = Prim.STRING
DONE_OR_NOT: Final = ResultType(None, None)


@dataclass(frozen=True, slots=True)
class WasiFunction:
    """One function of an interface of WASI 0.2."""

    interface: str
    """Without a version: all of 0.2 have the same types."""
    name: str
    type: FuncType
    run: Callable[..., Any]
    """Called as `run(call, *arguments)`; the value that it returns has the whole result in it."""


def own(resource: str) -> Handle:
    """Return the type of a handle that changes hands."""
    return Handle(owned=True, resource=resource)


def borrow(resource: str) -> Handle:
    """Return the type of a handle that is lent for the call."""
    return Handle(owned=False, resource=resource)


def function(
    interface: str, name: str, params: dict[str, WitType], result: WitType | None, run: Callable[..., Any]
) -> WasiFunction:
    """Return a function of `interface`."""
    return WasiFunction(interface, name, FuncType(tuple(params.items()), result), run)


@dataclass(frozen=True, slots=True)
class ResourceFunctions:
    """Makes the functions of one resource, named as the component model names them."""

    interface: str
    resource: str

    def constructor(self, params: dict[str, WitType], run: Callable[..., Any]) -> WasiFunction:
        """Return its constructor."""
        return function(self.interface, f"[constructor]{self.resource}", params, own(self.resource), run)

    def static(
        self, name: str, params: dict[str, WitType], result: WitType | None, run: Callable[..., Any]
    ) -> WasiFunction:
        """Return one that takes no `self`."""
        return function(self.interface, f"[static]{self.resource}.{name}", params, result, run)

    def method(
        self, name: str, params: dict[str, WitType], result: WitType | None, run: Callable[..., Any]
    ) -> WasiFunction:
        """Return one that is called as `run(call, self, *arguments)`."""
        params = {"self": borrow(self.resource), **params}
        return function(self.interface, f"[method]{self.resource}.{name}", params, result, run)


def callback(wasi: WasiFunction) -> Any:
    """Return the C callback of `wasi`."""
    return guarded(
        f"{wasi.interface}#{wasi.name}",
        [_lift(param) for _, param in wasi.type.params],
        compile_lower(wasi.type.result, "bytes", lower_handle) if wasi.type.result is not None else None,
        lambda call, arguments: wasi.run(call, *arguments),
    )


def dead_end(interface: str, reason: str) -> Any:
    """Return a C callback for every function of `interface` that no guest has any business with; `reason` says why."""

    def run(_call: Call, _arguments: list[Any]) -> Any:
        raise misused(f"calls a function of {interface}, {reason}")

    return guarded(interface, None, None, run)


def _lift(wit_type: WitType) -> Lift:
    lift = compile_lift(wit_type, "bytes", lift_handle)
    if not isinstance(wit_type, ListType):
        return lift
    most = _MAX_BYTES if wit_type == BYTES else _MAX_ITEMS

    # Before any of it is read: that is time in the host, which no deadline reaches.
    def bounded(size: int, data: int, rest: int) -> Any:
        if size > most:
            raise misused(f"hands over a list of {size} at once, where {most} are taken")
        return lift(size, data, rest)

    return bounded
