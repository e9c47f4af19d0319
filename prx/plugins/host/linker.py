"""What a component may import: `prx:host` in both spellings, and WASI 0.2, some of it served by the host itself."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from wasmtime import Engine
from wasmtime import component as wasm

from prx.plugins.errors import LoadError
from prx.plugins.host.clocks import INTERFACE as CLOCK
from prx.plugins.host.clocks import Clocks
from prx.plugins.host.functions import HostFunction, add_functions, callback
from prx.plugins.host.wasi.functions import WasiFunction
from prx.plugins.host.wasi.linking import WasiHttp, serves_io
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
    "wasi:http": {"outgoing-handler", "types"},
    "wasi:io": {"error", "poll", "streams"},
    "wasi:random": {"insecure", "insecure-seed", "random"},
    "wasi:sockets": {
        "instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket",
    },
}  # fmt: skip


class Host:
    """The linkers of one engine: one for each set of versions of the clock, or of functions with `wasi:http`."""

    def __init__(self, engine: Engine, functions: Sequence[HostFunction | WasiFunction]) -> None:
        """Make the callbacks once; they are shared by every plugin."""
        self._engine = engine
        offered = [f for f in functions if isinstance(f, HostFunction)]
        self._functions = {(f.interface, f.name): f for f in offered}
        self._callbacks = [(f.interface, f.name, callback(f)) for f in offered]
        self._clocks = Clocks(engine)
        self._linkers: dict[tuple[str, ...], wasm.Linker] = {}
        self._wasi_http = WasiHttp([f for f in functions if isinstance(f, WasiFunction)])
        # As many as components can think of sets, so only while one lives.
        self._http_linkers: WeakValueDictionary[tuple[str, ...], wasm.Linker] = WeakValueDictionary()

    def linker_for(self, inspection: Inspection) -> wasm.Linker:
        """Return a linker that offers everything `inspection` imports.

        Raises:
            LoadError: it imports something that is not offered; names it and what is.
        """
        for name in inspection.imported_interfaces:
            self._check_offered(name)
        for function in inspection.imports:
            self._check_type(function.interface, function.name, function.type)
        if serves_io(inspection):
            return self._linker_with_http(inspection)
        # Each version that it imports: one clock left to wasmtime would be one to sleep in for ever.
        clocks = tuple(
            sorted(name for name in inspection.imported_interfaces if name.startswith(f"{CLOCK}@"))
        )
        if clocks not in self._linkers:
            self._linkers[clocks] = self._new_linker(clocks)
        return self._linkers[clocks]

    def _linker_with_http(self, inspection: Inspection) -> wasm.Linker:
        self._wasi_http.check(inspection)
        key = (*sorted(inspection.imported_interfaces), *sorted(map(str, inspection.imports)))
        linker = self._http_linkers.get(key)
        if linker is None:
            linker = self._http_linkers[key] = self._new_linker(())
            with linker.root() as root:
                self._wasi_http.define(root, inspection)
        return linker

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
            f"({', '.join(sorted({interface for interface, _ in self._functions}))}) and WASI 0.2 "
            "with wasi:http/outgoing-handler. Rebuild against one of its worlds: docs/plugins.md#worlds"
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
        if found is None or not expected.fits(found):
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
                        add_functions(instance, {n: run for i, n, run in self._callbacks if i == interface})
            for clock in clocks:
                with root.add_instance(clock) as instance:
                    add_functions(instance, self._clocks.functions())
        return linker
