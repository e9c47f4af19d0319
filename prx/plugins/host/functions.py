"""Host functions as data, and the one gate through which every guest reaches them."""

import ctypes
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from wasmtime import component as wasm

from prx.core.errors import PrxError
from prx.plugins.abi import ffi
from prx.plugins.abi.ffi import VAL, string_at
from prx.plugins.abi.lift import Lift, compile_lift
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.memory import Owned
from prx.plugins.abi.scalars import Lower
from prx.plugins.abi.wit import FuncType, Prim, ResultType
from prx.plugins.calls import Call, GuestError, current
from prx.runtime.logging import get_logger

log = get_logger("plugins::host")

_OWNED = Owned()


@dataclass(frozen=True, slots=True)
class HostFunction:
    """One function of `prx:host@0.1.0`."""

    interface: str
    name: str
    type: FuncType
    run: Callable[..., Any]
    """Called as `run(call, *arguments)`; raises `PrxError` with a message for the guest's author."""

    @property
    def permission(self) -> str:
        """What the plugin must be granted; each interface is one permission."""
        return self.interface

    def can_fail(self) -> bool:
        """Whether its signature has a place for an error text."""
        return isinstance(self.type.result, ResultType) and self.type.result.err is Prim.STRING


def dispatch(function: HostFunction, call: Call, arguments: list[Any]) -> Any:
    """Run `function` for `call` if the plugin may, counting the call.

    Raises:
        GuestError: not permitted or failed, and the signature has no place for an error.
    """
    call.host_calls += 1
    try:
        check_permission(call, function.permission, f"{function.interface}.{function.name}")
        result = function.run(call, *arguments)
    except (PrxError, GuestError) as error:
        if function.can_fail():
            return {"err": error.message}
        if isinstance(error, GuestError):
            raise
        raise GuestError("host_error", f"{function.interface}.{function.name}: {error.message}") from error
    return {"ok": result} if isinstance(function.type.result, ResultType) else result


def check_permission(call: Call, permission: str, operation: str) -> None:
    """Let `call` do `operation`: the one place where a guest's permissions are looked at.

    Raises:
        GuestError: the plugin does not have `permission`; it is noted in the ledger.
    """
    if permission not in call.owner.permissions:
        remedy = call.owner.remedy(permission)
        call.owner.ledger.note(permission, operation, remedy)
        raise GuestError(
            "permission_denied",
            f'plugin "{call.plugin}" called {operation} without the permission "{permission}": {remedy}',
        )


def callback(function: HostFunction) -> Any:
    """Return the C callback that lifts the arguments, dispatches and lowers the result."""
    return guarded(
        f"{function.interface}.{function.name}",
        [compile_lift(param, "bytes") for _, param in function.type.params],
        compile_lower(function.type.result, "bytes") if function.type.result is not None else None,
        partial(dispatch, function),
    )


def guarded(
    name: str, lifts: list[Lift] | None, lower: Lower | None, run: Callable[[Call, list[Any]], Any]
) -> Any:
    """Return the C callback for `run`, which is called with the running call and its lifted arguments.

    Without `lifts` it takes whatever it is given, and reads none of it.

    Nothing may be raised through the engine: it keeps one exception for all threads, and errors surface in the wrong
    call. What went wrong is kept on the call; the engine gets a constant error.
    """

    @ffi.host_callback
    def enter(
        _data: Any, _context: Any, _type: Any, arguments: int, count: int, results: int, _results_count: int
    ) -> int:
        call = current.call
        entered = time.monotonic()
        try:
            lifted = []
            if lifts:
                values = VAL.iter_unpack(string_at(arguments, count * VAL.size))
                lifted = [lift(a, b, c) for lift, (_, a, b, c) in zip(lifts, values, strict=True)]
            result = run(call, lifted)
            if lower is not None:
                ctypes.memmove(results, VAL.pack(*lower(result, _OWNED)), VAL.size)
        except GuestError as error:
            call.failure = error
            return ffi.error_new(b"host function refused")  # type: ignore[no-any-return]  # a C function
        except Exception:  # the edge of foreign code: nothing may pass through the engine
            log.exception("host function failed", plugin=call.plugin, function=name)
            call.failure = GuestError("host_error", f"{name} failed in the host")
            return ffi.error_new(b"host function failed")  # type: ignore[no-any-return]  # a C function
        finally:
            call.host_secs += time.monotonic() - entered
        return 0

    return enter


def add_functions(instance: wasm.LinkerInstance, functions: Mapping[str, Any]) -> None:
    """Define `functions` in `instance`: their C callbacks by name, which somebody else keeps alive."""
    for name, run in functions.items():
        encoded = name.encode()
        error = ffi.linker_add_func(
            ffi.address(instance.ptr()), encoded, len(encoded), run, None, ffi.NO_FINALIZER
        )
        if error:
            raise RuntimeError(f"cannot link {name}: {ffi.take_error(error)[0]}")
