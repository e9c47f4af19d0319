"""The two wasmtime engines, one with fuel and one without, and the clock that ends calls.

Epoch interruption bounds wall time everywhere; counting fuel costs another quarter of a guest's speed, so only
plugins that set `max_fuel` run on the engine that counts it.
"""

import math
import threading
import time
from typing import ClassVar, Final, Protocol

from wasmtime import Config, Engine

from prx.plugins.abi import ffi

TICK_SECS = 0.01
_IDLE_SECS = 1.0
_MAX_TICKS: Final = 100
"""The most that a guest runs before the host looks at it again, though it may run longer: so many ticks too many, all
at once, have the host look at every guest now (`prx.plugins.deadline`), which costs those that go on next to nothing.
"""


def engine_config(*, fuel: bool) -> Config:
    """Return the configuration of one engine; the compiler must use the very same."""
    config = Config()
    config.epoch_interruption = True
    config.consume_fuel = fuel
    # Half the smallest stack that a thread here may have; deeper recursion is `stack_overflow`, not a crash.
    config.max_wasm_stack = 512 * 1024
    # No guest here runs concurrently with itself. With support for that, wasmtime 50.0.1 fails every call of a host
    # function to which a guest lends two handles at once, as `poll` does ("BUG: deferred host scope").
    ffi.config_component_model_async(ffi.address(config.ptr()), False)  # noqa: FBT003  # C's "enable"
    ffi.config_concurrency_support(ffi.address(config.ptr()), False)  # noqa: FBT003  # as above
    return config


def engine_fingerprint(*, fuel: bool) -> str:
    """Name what `engine_config` sets: compiled code is only valid for the configuration it was compiled for."""
    return f"epoch,stack=512k,no-concurrency,fuel={fuel}"


class Interruptible(Protocol):
    """A call, as the clock knows it."""

    def interrupt(self) -> None:
        """Have it end at the host's next look; called from any thread."""


class Ticker:
    """A thread that advances the engines' epochs while calls run, and rests while none do."""

    _name: ClassVar[str] = "prx-epoch"

    def __init__(self, *engines: Engine) -> None:
        """Start the thread; it rests at once."""
        self._engines = engines
        self._addresses = [ffi.address(engine.ptr()) for engine in engines]
        self._busy: set[Interruptible] = set()
        self._resting = True
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def begin(self, call: Interruptible) -> None:
        """Keep time for `call` until `end`; every call pays for this, so no lock."""
        self._busy.add(call)
        if self._resting:
            self._wake.set()

    def end(self, call: Interruptible) -> None:
        """Stop keeping time for `call`."""
        self._busy.discard(call)

    def interrupt(self, *calls: Interruptible) -> None:
        """End `calls`, those that run and those that are to begin; called from any thread."""
        for call in calls:
            call.interrupt()
        # Afterwards: a guest that begins in between finds out by itself.
        if not self._busy.isdisjoint(calls):
            for _ in range(_MAX_TICKS):
                self._tick()

    def end_calls(self) -> None:
        """End every call that runs."""
        self.interrupt(*self._busy.copy())

    def close(self) -> None:
        """Stop the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout=1)

    def _tick(self) -> None:
        for address in self._addresses:
            ffi.engine_increment_epoch(address)

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._resting = False
            self._tick_until_idle()

    def _tick_until_idle(self) -> None:
        # By the clock, not by counting sleeps: under load this thread may get the interpreter late.
        told = last_busy = time.monotonic()
        while not self._closed:
            time.sleep(TICK_SECS)
            now = time.monotonic()
            for _ in range(int((now - told) / TICK_SECS)):
                self._tick()
                told += TICK_SECS
            if self._busy:
                last_busy = now
            elif now - last_busy > _IDLE_SECS:
                self._wake.clear()
                self._resting = True
                # A call that began before the flag went up would wait for a tick for ever.
                if not self._busy:
                    return
                self._resting = False


def ticks(secs: float) -> int:
    """Return after how many ticks a guest that has `secs` left is looked at: when they are over, or before."""
    return min(_MAX_TICKS, max(1, math.ceil(secs / TICK_SECS) + 1))
