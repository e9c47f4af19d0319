"""Compiled code, ready to be instantiated: what is the same for every instance of one plugin generation."""

from pathlib import Path
from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from prx.plugins.abi import ffi
from prx.plugins.host.stdio import StdioReader
from prx.plugins.inspect import Function
from prx.plugins.probe import EXPORT as PROBE_EXPORT
from prx.runtime.code_pages import give_back_code_of


class Code:
    """A component with its engine and linker, and the indexes of its exported functions."""

    def __init__(
        self,
        component: wasm.Component,
        engine: Engine,
        linker: wasm.Linker,
        callbacks: object,
        *,
        uses_wasi: bool,
        serves_io: bool = False,
        stdio: StdioReader,
        file: Path | None = None,
    ) -> None:
        """Keep everything that instances point at alive for as long as they may live.

        `file` is what the machine code is mapped from, `None` where it was compiled in memory.

        `callbacks` owns what the linker calls in this process: without it a guest's next host call is a crash.
        """
        self._file = file
        self._keep: tuple[Any, ...] = (component, engine, linker, callbacks)
        self._component = component
        self._indexes: dict[Function, wasm.ExportIndex] = {}
        self.component = ffi.address(component.ptr())
        self.engine = ffi.address(engine.ptr())
        self.linker = ffi.address(linker.ptr())
        self.uses_wasi = uses_wasi
        self.serves_io = serves_io
        """Whether the guest's streams are the host's own rather than wasmtime's."""
        self.stdio = stdio
        probe = component.get_export_index(PROBE_EXPORT)
        self._probe = probe
        self.probe_index = ffi.address(probe.ptr()) if probe is not None else 0

    def rest(self) -> None:
        """Give back the memory of the machine code until it is called again; blocks for a millisecond."""
        if self._file is not None:
            give_back_code_of(self._file)

    def index_of(self, function: Function) -> int:
        """Return the address of the export index of `function`."""
        index = self._indexes.get(function)
        if index is None:
            parent = None
            if function.interface is not None:
                parent = self._component.get_export_index(function.interface)
            index = self._component.get_export_index(function.name, parent)
            if index is None:
                raise LookupError(f"{function} is not exported")
            # Two threads may look it up at once: the second's must not replace the first's, which is in use by then.
            index = self._indexes.setdefault(function, index)
        return ffi.address(index.ptr())
