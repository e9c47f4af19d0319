"""The same exported function called in other ways than PRX does: the references of `plugin_call`."""

import json
import threading
from collections.abc import Mapping
from ctypes import addressof
from typing import Any

from wasmtime import Engine, Store, WasiConfig
from wasmtime import component as wasm

from prx.plugins.abi import ffi
from prx.plugins.abi.memory import Borrowed
from prx.plugins.inspect import Function
from prx.plugins.worlds import tool
from prx.plugins.worlds.binding import Binding


class Component:
    """A component compiled and linked under wasmtime's own defaults: no fuel, no epochs, no limits."""

    def __init__(self, content: bytes, function: Function) -> None:
        """Compile and link once; `function` is what its instances are called for."""
        self._engine = Engine()
        self._compiled = wasm.Component(self._engine, content)
        self._linker = wasm.Linker(self._engine)
        self._linker.add_wasip2()
        self._function = function

    def instantiate(self) -> tuple[Store, wasm.Func]:
        """Return a new store and the function of the instance in it."""
        store = Store(self._engine)
        store.set_wasi(WasiConfig())
        instance = self._linker.instantiate(store, self._compiled)
        interface = self._function.interface
        within = instance.get_export_index(store, interface) if interface is not None else None
        index = instance.get_export_index(store, self._function.name, within)
        func = None if index is None else instance.get_func(store, index)
        if func is None:
            raise LookupError(f"{self._function} is not exported")
        return store, func


class RawFfi:
    """The C function behind compiled closures: lower, call, lift. Nothing is limited, nothing counted."""

    def __init__(self, component: Component, binding: Binding, arguments: Mapping[str, Any]) -> None:
        """Instantiate `component` once; every call is made to that instance."""
        assert binding.lift is not None
        self._lower, self._lift = binding.lower, binding.lift
        self._arguments = arguments
        self._store, self._func = component.instantiate()
        # wasmtime-py has no public name for the two addresses that the C function takes.
        self._context = ffi.address(self._store._context())  # noqa: SLF001
        self._handle = addressof(self._func._func)  # noqa: SLF001
        self._words = ffi.new_struct(ffi.VAL.size * len(binding.lower(arguments, Borrowed())))
        self._words_address = addressof(self._words)
        self._result = ffi.new_struct(ffi.VAL.size)
        self._result_address = addressof(self._result)

    def __call__(self) -> object:
        """Call once and return the lifted result."""
        memory = Borrowed()
        lowered = self._lower(self._arguments, memory)
        for position, words in enumerate(lowered):
            ffi.VAL.pack_into(self._words, position * ffi.VAL.size, *words)
        error = ffi.func_call(
            self._handle, self._context, self._words_address, len(lowered), self._result_address, 1
        )
        if error:
            raise RuntimeError(ffi.take_error(error)[0])
        _, *found = ffi.VAL.unpack_from(self._result)
        value = self._lift(*found)
        ffi.val_delete(self._result_address)
        # The engine frees what is in the result's place when it writes there; it is free already.
        self._result[0] = ffi.KIND_BOOL
        return value


class Stock:
    """wasmtime-py as its manual shows it; a store serves one thread, so each thread has its own."""

    def __init__(self, component: Component, binding: Binding, arguments: Mapping[str, Any]) -> None:
        """Call the function of `component` with `arguments`."""
        self._component = component
        interface = binding.function.interface or ""
        self._takes_json = interface.startswith(tool.INTERFACE)
        assert binding.function.type is not None
        self._parameters = [name for name, _ in binding.function.type.params]
        self._arguments = arguments
        self._own = threading.local()

    def warm(self) -> object:
        """Call this thread's own instance."""
        made: tuple[Store, wasm.Func] | None = getattr(self._own, "made", None)
        if made is None:
            made = self._own.made = self._component.instantiate()
        store, func = made
        return func(store, *self._values())

    def fresh(self) -> object:
        """Instantiate, call once, and free the instance."""
        store, func = self._component.instantiate()
        with store:
            return func(store, *self._values())

    def _values(self) -> list[Any]:
        if self._takes_json:
            return [json.dumps(self._arguments, ensure_ascii=False, separators=(",", ":"))]
        return [self._arguments.get(name) for name in self._parameters]
