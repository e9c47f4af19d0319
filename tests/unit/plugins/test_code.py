"""What all instances of a generation share."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from prx.plugins.code import Code
from prx.plugins.engine import engine_config
from prx.plugins.host.stdio import StdioReader
from prx.plugins.inspect import inspect
from tests.components.corpus import component


class MeetingPoint:
    """A component whose lookups return once two threads have made one."""

    def __init__(self, inner: wasm.Component) -> None:
        self._inner = inner
        self._both = Barrier(2, timeout=10)
        self.meet = False

    def ptr(self) -> Any:
        return self._inner.ptr()

    def get_export_index(self, name: str, parent: wasm.ExportIndex | None = None) -> wasm.ExportIndex | None:
        index = self._inner.get_export_index(name, parent)
        if self.meet:
            self._both.wait()
        return index


def test_two_threads_that_look_up_a_function_at_once_share_one_index() -> None:
    """The index of the slower one would be freed while its call uses it."""
    engine = Engine(engine_config(fuel=False))
    adder = wasm.Component(engine, component("adder"))
    [function] = inspect(adder, engine).exports
    shared: Any = MeetingPoint(adder)
    stdio = StdioReader()
    try:
        code = Code(shared, engine, wasm.Linker(engine), None, uses_wasi=False, stdio=stdio)
        shared.meet = True
        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(code.index_of, [function, function])
    finally:
        stdio.close()
    assert first == second
