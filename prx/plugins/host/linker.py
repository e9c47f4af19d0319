"""What a component may import: `prx:host` in both spellings, and WASI 0.2 with the host's own clock."""

from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from prx.plugins.abi import ffi
from prx.plugins.errors import LoadError
from prx.plugins.host.clocks import INTERFACE as CLOCK
from prx.plugins.host.clocks import Clocks
from prx.plugins.host.functions import HostFunction, callback
from prx.plugins.inspect import Inspection

HOST_PACKAGE = "prx:host"
HOST_VERSION = "0.1.0"
_HOST_SERIES = "0.1."
_WASI_SERIES = "0.2."
_WASI = {
    "wasi:cli": {
        "environment", "exit", "stdin", "stdout", "stderr",
        "terminal-input", "terminal-output", "terminal-stdin", "terminal-stdout", "terminal-stderr",
    },
    "wasi:clocks": {"monotonic-clock", "wall-clock"},
    "wasi:filesystem": {"preopens", "types"},
    "wasi:io": {"error", "poll", "streams"},
    "wasi:random": {"insecure", "insecure-seed", "random"},
    "wasi:sockets": {
        "instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket",
    },
}  # fmt: skip

_no_finalizer = ffi.FINALIZER(0)


class Host:
    """The linkers of one engine, one for each set of versions of the clock that components import."""

    def __init__(self, engine: Engine, functions: list[HostFunction]) -> None:
        """Make the callbacks once; they are shared by every plugin."""
        self._engine = engine
        self._functions = {(f.interface, f.name): f for f in functions}
        self._callbacks = [(f.interface, f.name, callback(f)) for f in functions]
        self._clocks = Clocks(engine)
        self._linkers: dict[tuple[str, ...], wasm.Linker] = {}

    def linker_for(self, inspection: Inspection) -> wasm.Linker:
        """Return a linker that offers everything `inspection` imports.

        Raises:
            LoadError: it imports something that is not offered; names it and what is.
        """
        for name in inspection.imported_interfaces:
            self._check_offered(name)
        for function in inspection.imports:
            self._check_type(function.interface, function.name, function.type)
        # Each version that it imports: one clock left to wasmtime would be one to sleep in for ever.
        clocks = tuple(
            sorted(name for name in inspection.imported_interfaces if name.startswith(f"{CLOCK}@"))
        )
        if clocks not in self._linkers:
            self._linkers[clocks] = self._new_linker(clocks)
        return self._linkers[clocks]

    def _check_offered(self, name: str) -> None:
        path, _, version = name.partition("@")
        package, _, interface = path.partition("/")
        if package == HOST_PACKAGE:
            known = {interface for interface, _ in self._functions}
            if interface in known and (not version or version.startswith(_HOST_SERIES)):
                return
        elif interface in _WASI.get(package, ()) and version.startswith(_WASI_SERIES):
            return
        raise LoadError(
            f"imports {name}, which this host does not offer. It offers {HOST_PACKAGE}@{HOST_VERSION} "
            f"({', '.join(sorted({interface for interface, _ in self._functions}))}) and WASI 0.2 without wasi:http. "
            "Rebuild against one of its worlds: docs/plugins.md#worlds"
        )

    def _check_type(self, interface: str | None, name: str, found: Any) -> None:
        """Refuse a host function imported with another type: its values would be read as what they are not."""
        package, _, rest = (interface or "").partition("/")
        if package != HOST_PACKAGE:
            return
        offered = self._functions.get((rest.partition("@")[0], name))
        if offered is None:
            raise LoadError(
                f"imports {interface}#{name}, which {HOST_PACKAGE}@{HOST_VERSION} does not have: "
                "rebuild against the WIT files that come with PRX (docs/plugins.md#worlds)"
            )
        expected = offered.type
        same = found is not None and found.result == expected.result
        if not same or [ty for _, ty in found.params] != [ty for _, ty in expected.params]:
            raise LoadError(
                f"imports {interface}#{name} as {found}, but this host offers {expected}: "
                "rebuild against the WIT files that come with PRX (docs/plugins.md#worlds)"
            )

    def _new_linker(self, clocks: tuple[str, ...]) -> wasm.Linker:
        linker = wasm.Linker(self._engine)
        linker.allow_shadowing = True
        linker.add_wasip2()
        with linker.root() as root:
            for interface in sorted({interface for interface, _, _ in self._callbacks}):
                for name in (f"{HOST_PACKAGE}/{interface}", f"{HOST_PACKAGE}/{interface}@{HOST_VERSION}"):
                    with root.add_instance(name) as instance:
                        _add_functions(instance, {n: run for i, n, run in self._callbacks if i == interface})
            for clock in clocks:
                with root.add_instance(clock) as instance:
                    _add_functions(instance, self._clocks.functions())
        return linker


def _add_functions(instance: wasm.LinkerInstance, functions: dict[str, Any]) -> None:
    for name, run in functions.items():
        encoded = name.encode()
        error = ffi.linker_add_func(
            ffi.address(instance.ptr()), encoded, len(encoded), run, None, _no_finalizer
        )
        if error:
            raise RuntimeError(f"cannot link {name}: {ffi.take_error(error)[0]}")
