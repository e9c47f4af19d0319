"""Links a component that imports `wasi:http` to the host's own WASI interfaces, in every version that it names."""

from collections.abc import Collection
from typing import Any, Final

from wasmtime import component as wasm

from prx.plugins.abi import ffi
from prx.plugins.calls import GuestError, current
from prx.plugins.errors import LoadError
from prx.plugins.host.functions import add_functions
from prx.plugins.host.http import HttpOutbound
from prx.plugins.host.wasi import fields, poll, requests, responses, streams, surroundings
from prx.plugins.host.wasi.functions import WasiFunction, callback, dead_end
from prx.plugins.host.wasi.resources import TYPES, resources_of
from prx.plugins.inspect import Function, Inspection
from prx.runtime.logging import get_logger

HTTP: Final = "wasi:http/"
_NO_FILES: Final = "and a component that imports wasi:http gets no files"
_NO_SOCKETS: Final = "and a plugin gets no sockets"
_NO_ERRORS: Final = "and no stream of this host fails with an error"
_NO_SERVER: Final = "which is about requests to a plugin, or about streams that failed: this host has neither"

# Every interface that has a stream, a pollable or an error in it, and the resources that it defines.
_RESOURCES: Final[dict[str, tuple[str, ...]]] = {
    "wasi:io/error": ("error",),
    "wasi:io/poll": ("pollable",),
    "wasi:io/streams": ("input-stream", "output-stream"),
    "wasi:clocks/monotonic-clock": (),
    "wasi:cli/stdin": (),
    "wasi:cli/stdout": (),
    "wasi:cli/stderr": (),
    "wasi:cli/terminal-input": ("terminal-input",),
    "wasi:cli/terminal-output": ("terminal-output",),
    "wasi:cli/terminal-stdin": (),
    "wasi:cli/terminal-stdout": (),
    "wasi:cli/terminal-stderr": (),
    "wasi:filesystem/preopens": (),
    "wasi:filesystem/types": ("descriptor", "directory-entry-stream"),
    "wasi:sockets/instance-network": (),
    "wasi:sockets/network": ("network",),
    "wasi:sockets/ip-name-lookup": ("resolve-address-stream",),
    "wasi:sockets/tcp": ("tcp-socket",),
    "wasi:sockets/tcp-create-socket": (),
    "wasi:sockets/udp": ("udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream"),
    "wasi:sockets/udp-create-socket": (),
    "wasi:http/types": (
        "fields", "incoming-request", "outgoing-request", "request-options", "response-outparam",
        "incoming-response", "incoming-body", "future-trailers", "outgoing-response", "outgoing-body",
        "future-incoming-response",
    ),
    "wasi:http/outgoing-handler": (),
}  # fmt: skip
# Nobody gets what these functions work on; guests import them with the rest of their interface.
_DEAD_ENDS: Final[dict[str, str]] = {
    "wasi:io/error": _NO_ERRORS,
    "wasi:filesystem/types": _NO_FILES,
    "wasi:sockets/ip-name-lookup": _NO_SOCKETS,
    "wasi:sockets/network": _NO_ERRORS,
    "wasi:sockets/tcp": _NO_SOCKETS,
    "wasi:sockets/udp": _NO_SOCKETS,
    "wasi:http/types": _NO_SERVER,
}
# Of this interface, all but what begins so has a function that serves it.
_HTTP_DEAD_ENDS: Final = ("http-error-code", "incoming-request", "outgoing-response", "response-outparam")

log = get_logger("plugins::host")


def wasi_functions(http: HttpOutbound) -> list[WasiFunction]:
    """Return every function that components which import `wasi:http` may use, requests going through `http`."""
    return [
        *poll.FUNCTIONS,
        *streams.FUNCTIONS,
        *surroundings.FUNCTIONS,
        *fields.FUNCTIONS,
        *requests.FUNCTIONS,
        *responses.FUNCTIONS,
        responses.handler(http),
    ]


def serves_io(inspection: Inspection) -> bool:
    """Tell whether the component gets its streams from here rather than from wasmtime."""
    return any(name.startswith(HTTP) for name in inspection.imported_interfaces)


def out_of_reach(inspection: Inspection, permissions: Collection[str]) -> list[str]:
    """Return a warning where the component was granted what it cannot get for its import of `wasi:http`."""
    if not serves_io(inspection) or "filesystem" not in permissions:
        return []
    warning = (
        'it imports wasi:http and so gets no directories, although it has the permission "filesystem": '
        "let it send its requests with prx:host/http-outbound (docs/plugins.md#fetch-and-wasihttp)"
    )
    return [warning]


class WasiHttp:
    """The callbacks of all these functions; kept alive as long as the linkers."""

    def __init__(self, functions: list[WasiFunction]) -> None:
        """Make them once."""
        self._functions = {(each.interface, each.name): each for each in functions}
        self._callbacks = {key: callback(each) for key, each in self._functions.items()}
        self._dead_ends = {path: dead_end(path, reason) for path, reason in _DEAD_ENDS.items()}
        self._drop = ffi.DESTRUCTOR(_drop)

    def check(self, inspection: Inspection) -> None:
        """Refuse a function that is unknown or imported with another type.

        Raises:
            LoadError: there is one; names it.
        """
        for function in inspection.imports:
            path = _path(function)
            offered = self._functions.get((path, function.name))
            if path not in _RESOURCES or (offered is None and _is_dead_end(path, function.name)):
                continue
            if offered is None or function.type is None or not offered.type.fits(function.type):
                expected = offered.type if offered is not None else "nothing of that name"
                raise LoadError(
                    f"imports {function} as {function.type}, but this host offers {expected}: "
                    "rebuild against the WIT files of WASI 0.2"
                )

    def define(self, root: wasm.LinkerInstance, inspection: Inspection) -> None:
        """Define in `root` what the component imports; `check` has passed it."""
        for name in inspection.imported_interfaces:
            path = name.partition("@")[0]
            if path not in _RESOURCES:
                continue
            with root.add_instance(name) as instance:
                for resource in _RESOURCES[path]:
                    self._add_resource(instance, resource)
                add_functions(
                    instance,
                    {
                        function.name: self._callbacks.get((path, function.name)) or self._dead_ends[path]
                        for function in inspection.imports
                        if function.interface == name
                    },
                )

    def _add_resource(self, instance: wasm.LinkerInstance, name: str) -> None:
        encoded = name.encode()
        resource = ffi.resource_type_new(TYPES[name])
        error = ffi.linker_add_resource(
            ffi.address(instance.ptr()), encoded, len(encoded), resource, self._drop, None, ffi.NO_FINALIZER
        )
        ffi.resource_type_delete(resource)
        if error:
            raise RuntimeError(f"cannot link {name}: {ffi.take_error(error)[0]}")


def _path(function: Function) -> str:
    return (function.interface or "").partition("@")[0]


def _is_dead_end(path: str, name: str) -> bool:
    if path == "wasi:http/types":
        return name.rpartition("]")[2].partition(".")[0] in _HTTP_DEAD_ENDS
    return path in _DEAD_ENDS


def _drop(_data: Any, _context: Any, number: int) -> int:
    try:
        resources_of(current.call).drop(number)
    except Exception:  # the edge of foreign code: nothing may pass through the engine
        log.exception("a handle was not dropped", plugin=current.call.plugin)
        current.call.failure = GuestError("host_error", "dropping a handle failed in the host")
        return ffi.error_new(b"drop failed")  # type: ignore[no-any-return]  # a C function
    return 0
