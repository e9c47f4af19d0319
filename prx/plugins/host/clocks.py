"""`wasi:clocks/monotonic-clock` served by the host, so that a guest's sleep ends with its call.

A guest that sleeps in wasmtime's own clock cannot be interrupted: the thread would be lost for as long as the guest
likes. Here the timer that it gets is wasmtime's own, but never longer than what is left of the call; the guest then
wakes past its deadline and the epoch ends it.
"""

import ctypes
import time
from ctypes import c_uint64
from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from prx.plugins.abi import ffi
from prx.plugins.abi.ffi import VAL, string_at
from prx.plugins.calls import GuestError, current
from prx.runtime.logging import get_logger

log = get_logger("plugins::host")

INTERFACE = "wasi:clocks/monotonic-clock"

# Only a component can call another component's import, so the original clock is reached through this one.
_ORIGINAL_CLOCK = """
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $lowered (canon lower (func $clock "subscribe-duration")))
  (core module $m
    (import "clock" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "subscribe") (param i64) (result i32) (call $subscribe (local.get 0))))
  (core instance $i (instantiate $m (with "clock" (instance (export "subscribe" (func $lowered))))))
  (alias export $poll "pollable" (type $result))
  (func $f (param "when" u64) (result (own $result)) (canon lift (core func $i "subscribe")))
  (export "subscribe" (func $f)))
"""


class Clocks:
    """The callbacks of one engine's linkers; kept alive as long as the linkers."""

    def __init__(self, engine: Engine) -> None:
        """Compile the bridge to wasmtime's own clock (a few milliseconds)."""
        self._linker = wasm.Linker(engine)
        self._linker.add_wasip2()
        self._bridge = wasm.Component(engine, _ORIGINAL_CLOCK)
        self._subscribe = self._bridge.get_export_index("subscribe")
        self._functions = {
            "now": self._callback(self._now),
            "resolution": self._callback(self._resolution),
            "subscribe-duration": self._callback(self._subscribe_duration),
            "subscribe-instant": self._callback(self._subscribe_instant),
        }

    def functions(self) -> dict[str, Any]:
        """Return the C callback of each function."""
        return self._functions

    def _callback(self, function: Any) -> Any:
        @ffi.host_callback
        def run(
            _data: Any, context: int, _type: Any, arguments: int, count: int, results: int, _results: int
        ) -> int:
            when = VAL.unpack(string_at(arguments, VAL.size))[1] if count else 0
            try:
                ctypes.memmove(results, function(context, when), VAL.size)
            except GuestError as error:
                current.call.failure = error
                return ffi.error_new(b"clock failed")  # type: ignore[no-any-return]  # a C function
            except Exception:  # the edge of foreign code: nothing may pass through the engine
                log.exception("clock failed", plugin=current.call.plugin)
                current.call.failure = GuestError("host_error", "the clock failed in the host")
                return ffi.error_new(b"clock failed")  # type: ignore[no-any-return]  # a C function
            return 0

        return run

    def _now(self, _context: int, _when: int) -> bytes:
        return VAL.pack(ffi.KIND_U64, time.monotonic_ns(), 0, 0)

    def _resolution(self, _context: int, _when: int) -> bytes:
        return VAL.pack(ffi.KIND_U64, 1, 0, 0)

    def _subscribe_instant(self, context: int, when: int) -> bytes:
        return self._subscribe_duration(context, max(0, when - time.monotonic_ns()))

    def _subscribe_duration(self, context: int, duration: int) -> bytes:
        call = current.call
        assert call.instance is not None  # noqa: S101  # a guest runs only inside an instance
        if call.instance.timer is None:
            call.instance.timer = self._timer(context)
        remaining = int(call.remaining_secs() * 1e9) + 1
        argument = VAL.pack(ffi.KIND_U64, min(duration, remaining), 0, 0)
        result = ctypes.create_string_buffer(VAL.size)
        error = ffi.func_call(
            ctypes.addressof(call.instance.timer),
            context,
            ffi.bytes_address(argument),
            1,
            ctypes.addressof(result),
            1,
        )
        if error:
            raise GuestError("host_error", f"no timer: {ffi.take_error(error)[0]}")
        return result.raw

    def _timer(self, context: int) -> Any:
        instance = (c_uint64 * (ffi.INSTANCE_SIZE // 8))()
        error = ffi.linker_instantiate(
            ffi.address(self._linker.ptr()),
            context,
            ffi.address(self._bridge.ptr()),
            ctypes.addressof(instance),
        )
        if error:
            raise GuestError("host_error", f"no timer: {ffi.take_error(error)[0]}")
        function = (c_uint64 * (ffi.FUNC_SIZE // 8))()
        assert self._subscribe is not None  # noqa: S101  # exported by the text above
        index = ffi.address(self._subscribe.ptr())
        ffi.instance_get_func(ctypes.addressof(instance), context, index, ctypes.addressof(function))
        return function
