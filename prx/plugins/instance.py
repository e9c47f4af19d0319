"""One sandbox: a store, an instance in it, and its exported functions. One owner at a time."""

from ctypes import addressof, c_uint64
from time import monotonic
from typing import Any

from wasmtime import WasiConfig, WasmtimeError

from prx.plugins.abi import ffi
from prx.plugins.abi.ffi import VAL, Words
from prx.plugins.calls import Call, GuestError, current
from prx.plugins.code import Code
from prx.plugins.deadline import look
from prx.plugins.engine import ticks
from prx.plugins.faults import guest_error, stopped
from prx.plugins.host.output import GuestOutput
from prx.plugins.host.stdio import Lines, Pipe
from prx.plugins.host.wasi.resources import Resources
from prx.plugins.inspect import Function
from prx.plugins.memory_maps import free, freed_by

_MAX_TABLE_ELEMENTS = 1_000_000
_MAX_INSTANCES = 64
_MAX_TABLES = 64
_MAX_MEMORIES = 1
_STDERR_TAIL = 2048


class _Bound:
    """One exported function of one instance, with room for its arguments."""

    __slots__ = ("arguments", "given", "handle")

    def __init__(self, handle: Any, context: int, parameters: int, result: int, *, has_result: bool) -> None:
        self.handle = handle
        self.arguments = ffi.new_struct(VAL.size * parameters)
        self.given: tuple[Any, ...] = (
            addressof(handle), context, addressof(self.arguments), parameters, result, has_result
        )  # fmt: skip
        """What the engine's function for calls takes: the arguments are those in `arguments`."""


class Instance:
    """A fresh sandbox made from `code`; `close` it on every path.

    A store that two threads use at once aborts the process, so whoever takes an instance is its only user until it
    gives it back. After a trap the instance is spoilt: `usable` is false and everything in it is freed.
    """

    __slots__ = (
        "_bound", "_context", "_instance", "_max_fuel", "_often", "_pipes", "_probe", "_result",
        "_result_address", "_stderr", "_store", "_whole_time",
        "calls", "code", "memory_bytes", "resources", "surroundings", "timer", "usable",
    )  # fmt: skip

    def __init__(self, code: Code, call: Call) -> None:
        """Instantiate within the deadline of `call`, which pays for what the guest's start does.

        Raises:
            GuestError: the guest failed or was stopped while it started.
        """
        self.code = code
        self.surroundings = call.owner.surroundings
        self.calls = 0
        self.memory_bytes = 0
        self.timer: Any = None
        self.resources: Resources | None = None
        """What the guest holds, where its streams are the host's own."""
        self.usable = True
        self._bound: dict[Function, _Bound] = {}
        self._probe: _Bound | None = None
        self._result = ffi.new_struct(VAL.size)
        self._result_address = addressof(self._result)
        self._max_fuel = call.limits.max_fuel
        self._pipes: list[Pipe] = []
        self._stderr = bytearray()
        self._instance = ffi.new_struct(ffi.INSTANCE_SIZE)
        self._store = ffi.store_new(code.engine, None, None)
        self._context = ffi.store_context(self._store)
        self._often = call.limits.warm
        self._whole_time: tuple[Any, ...] = (self._context, call.limits.ticks)
        if self._often:
            self._whole_time = ffi.converted(ffi.context_set_epoch_deadline, self._whole_time)
        try:
            # wasmtime aborts or times out at once where one of these is forgotten: they are set here and only here.
            ffi.store_limiter(
                self._store, call.limits.max_memory_bytes,
                _MAX_TABLE_ELEMENTS, _MAX_INSTANCES, _MAX_TABLES, _MAX_MEMORIES,
            )  # fmt: skip
            ffi.store_epoch_deadline_callback(self._store, look, None, ffi.NO_FINALIZER)
            if code.uses_wasi:
                self._set_wasi(call.owner.output)
            self._enter(call)
            error = ffi.linker_instantiate(
                code.linker, self._context, code.component, addressof(self._instance)
            )
            if error:
                raise self._failed(ffi.take_error(error), call)  # noqa: TRY301  # one clean-up for every failure
            if code.probe_index:
                self._probe = self._bind(code.probe_index, 0, has_result=True)
            self._measure_memory(freeing_little=True)
            if not self.usable:
                raise stopped(call)  # noqa: TRY301  # as above
        except BaseException:
            self.close()
            raise

    def invoke(self, function: Function, arguments: list[Words], call: Call) -> Words:
        """Call `function`; return its result's words, valid until `release`.

        Raises:
            GuestError: the guest trapped or reached a limit; the instance is spoilt.
        """
        bound = self._bound.get(function)
        if bound is None:
            has_result = function.type is not None and function.type.result is not None
            bound = self._bind(self.code.index_of(function), len(arguments), has_result=has_result)
            self._bound[function] = bound
        at = 0
        for words in arguments:
            VAL.pack_into(bound.arguments, at, *words)
            at += VAL.size
        self.calls += 1
        if self._stderr and self.calls > 1:
            self._stderr.clear()  # the last words of another call
        self._enter(call)
        entered = monotonic()
        error = ffi.func_call(*bound.given)
        call.ended = monotonic()
        call.guest_secs = call.ended - entered
        if error:
            raise self._failed(ffi.take_error(error), call)
        return VAL.unpack_from(self._result)

    def release(self, call: Call, *, freeing_little: bool) -> None:
        """Free the result of `invoke`, which is small or not, and measure what it used; the next `invoke` may come."""
        self._measure_memory(freeing_little=freeing_little)
        call.peak_memory_bytes = self.memory_bytes
        if self._max_fuel is not None:
            call.fuel_used = self._max_fuel - self._fuel_left()
        if self.resources is not None:
            self.resources.end_call()

    def close(self) -> None:
        """Free the store and everything in it; twice is once."""
        if self._store is not None:
            free(self._delete_store)
        if self.resources is not None:
            self.resources.close()
        while self._pipes:
            pipe = self._pipes.pop()
            pipe.finish()
            pipe.close()

    def _delete_store(self) -> None:
        self.usable = False
        for pipe in self._pipes:
            pipe.detach()
        store, self._store = self._store, None
        ffi.store_delete(store)

    def _enter(self, call: Call) -> None:
        # Known beforehand; only a call that had to make its instance has used some of its time.
        if call.instance is None:
            ffi.context_set_epoch_deadline(*self._whole_time)
        else:
            ffi.context_set_epoch_deadline(self._context, ticks(call.remaining_secs()))
        # After the deadline: who interrupts the call from now on has it come.
        if call.interrupted:
            raise stopped(call)
        if self._max_fuel is not None:
            error = ffi.context_set_fuel(self._context, self._max_fuel)
            if error:
                raise GuestError("host_error", ffi.take_error(error)[0])
        call.instance = self
        current.call = call

    def _failed(self, engine_error: tuple[str, int | None], call: Call) -> GuestError:
        # Its memory can only be told by what goes when it is freed; closing it also reads the rest of its stderr.
        if self._max_fuel is not None:
            call.fuel_used = self._max_fuel - self._fuel_left()
        call.peak_memory_bytes = max(self.memory_bytes, freed_by(self._delete_store))
        self.close()
        call.stderr = bytes(self._stderr)
        return guest_error(engine_error, call, call.limits)

    def _fuel_left(self) -> int:
        left = c_uint64(0)
        error = ffi.context_get_fuel(self._context, addressof(left))
        if error:
            raise GuestError("host_error", ffi.take_error(error)[0])
        return left.value

    def _bind(self, index: int, parameters: int, *, has_result: bool) -> _Bound:
        handle = ffi.new_struct(ffi.FUNC_SIZE)
        if not ffi.instance_get_func(addressof(self._instance), self._context, index, addressof(handle)):
            raise LookupError("an export that was verified at load is not a function")
        bound = _Bound(handle, self._context, parameters, self._result_address, has_result=has_result)
        if self._often:
            bound.given = ffi.converted(ffi.func_call, bound.given)
        return bound

    def _set_wasi(self, output: GuestOutput) -> None:
        config = WasiConfig()
        try:
            self._open_stdio(config, output)
        except (OSError, WasmtimeError) as error:
            raise GuestError("host_error", f"the host cannot open pipes for the guest: {error}") from error
        try:
            self.surroundings.furnish(config)
        except (OSError, WasmtimeError) as error:
            raise GuestError(
                "host_error", f"a directory that the plugin was granted cannot be opened: {error}"
            ) from error
        taken_over = config._consume()  # noqa: SLF001  # the store frees it
        refused = ffi.context_set_wasi(self._context, ffi.address(taken_over))
        if refused:
            raise GuestError("host_error", ffi.take_error(refused)[0])

    def _open_stdio(self, config: WasiConfig, output: GuestOutput) -> None:
        sinks = {"stdout_file": output.stdout, "stderr_file": self._keep_stderr(output)}
        if self.code.serves_io:
            self.resources = Resources(self._context, *sinks.values())
            sinks = {}
        for attribute, sink in sinks.items():
            pipe = Pipe(self.code.stdio, sink)
            self._pipes.append(pipe)
            setattr(config, attribute, pipe.path)
            pipe.opened()

    def _keep_stderr(self, output: GuestOutput) -> Lines:
        def keep(line: bytes) -> None:
            self._stderr += line + b"\n"
            del self._stderr[:-_STDERR_TAIL]
            output.stderr(line)

        return keep

    def _measure_memory(self, *, freeing_little: bool) -> None:
        if self._probe is None:
            self._free_result()
            return
        # The engine frees what is in the result's place when it writes there. While that takes long others must run.
        error = (ffi.func_call_brief if freeing_little else ffi.func_call)(*self._probe.given)
        if error:
            # The call used its last tick just before it returned: it is over, only the measuring is refused.
            ffi.take_error(error)
            self._free_result()
            self.usable = False
            return
        self.memory_bytes = self._result[1]

    def _free_result(self) -> None:
        ffi.val_delete(self._result_address)
        # The engine frees what it finds here at the next call: an option would be freed twice.
        self._result[0] = ffi.KIND_BOOL
