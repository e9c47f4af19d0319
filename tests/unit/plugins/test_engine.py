"""The clock that ends calls: on time, never too early, and at once when nobody wants them any more."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import Engine, Instance, Module, Store, WasmtimeError

from prx.plugins.abi import ffi
from prx.plugins.calls import Call, current
from prx.plugins.deadline import look
from prx.plugins.engine import TICK_SECS, Ticker, engine_config, ticks
from tests.support.calls import call_of
from tests.support.waiting import eventually

_LOOP = '(module (func (export "run") (loop $again br $again)))'

Loop = Callable[[Call], Future[float]]


def lasting(secs: float) -> Call:
    return call_of(max_execution_secs=secs)


@pytest.fixture(params=[False, True], ids=["epoch", "fuel"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(engine_config(fuel=request.param))


@pytest.fixture
def ticker(engine: Engine) -> Iterator[Ticker]:
    ticker = Ticker(engine)
    yield ticker
    ticker.close()


@pytest.fixture
def loop(engine: Engine, ticker: Ticker, request: pytest.FixtureRequest) -> Iterator[Loop]:
    """Start a guest that never ends, as a call; the future tells how long it ran."""

    def run(call: Call) -> float:
        store = Store(engine)
        ffi.store_epoch_deadline_callback(ffi.address(store.ptr()), look, None, ffi.NO_FINALIZER)
        if request.node.callspec.params["engine"]:
            store.set_fuel(2**63)
        run = Instance(store, Module(engine, _LOOP), []).exports(store)["run"]
        current.call = call
        ticker.begin(call)
        try:
            call.begin()
            started = time.monotonic()
            store.set_epoch_deadline(ticks(call.remaining_secs()))
            with pytest.raises(WasmtimeError, match="stopped by the host"):
                run(store)
            return time.monotonic() - started
        finally:
            ticker.end(call)
            store.close()

    with ThreadPoolExecutor() as threads, ExitStack() as left:
        left.callback(ticker.end_calls)
        yield lambda call: threads.submit(run, call)


@given(st.floats(0, 3600))
def test_a_guest_is_looked_at_when_its_time_is_over_or_before(secs: float) -> None:
    assert 1 <= ticks(secs) <= 100
    if ticks(secs) < 100:
        # The tick that is under way counts as one, so one more is needed to be sure.
        assert (ticks(secs) - 1) * TICK_SECS >= secs * (1 - 1e-9)
        assert (ticks(secs) - 3) * TICK_SECS < secs


def test_a_loop_ends_after_its_time_and_not_before(loop: Loop) -> None:
    for limit in (0.05, 0.2, 1.2):
        assert loop(lasting(limit)).result(30) >= limit


def test_calls_with_different_limits_each_end_after_their_own(loop: Loop) -> None:
    limits = [0.02, 0.1, 0.3]
    futures = [loop(lasting(limit)) for limit in limits]
    assert all(future.result(30) >= limit for future, limit in zip(futures, limits, strict=True))


def test_the_clock_starts_again_after_a_rest(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    # It rests between any two calls.
    monkeypatch.setattr("prx.plugins.engine._IDLE_SECS", 0.0)
    for _ in range(5):
        assert loop(lasting(0.03)).result(30) >= 0.03


async def test_a_call_that_is_interrupted_ends_and_its_neighbour_goes_on(loop: Loop, ticker: Ticker) -> None:
    unwanted, wanted = lasting(3600), lasting(3600)
    ending, going_on = loop(unwanted), loop(wanted)
    await eventually(lambda: {unwanted, wanted} == ticker._busy)
    ticker.interrupt(unwanted)
    assert ending.result(30) < 3600
    assert unwanted.failure is not None
    assert unwanted.failure.code == "cancelled"
    assert not going_on.done()
    # However often the host looks at it, its time is not over.
    for _ in range(100):
        ticker.interrupt(wanted.__class__(wanted.owner, wanted.context))
        for _ in range(10):
            ticker._tick()
    assert wanted.failure is None
    ticker.interrupt(wanted)
    assert going_on.result(30) < 3600


async def test_ending_calls_ends_one_that_may_run_for_an_hour(loop: Loop, ticker: Ticker) -> None:
    future = loop(lasting(3600))

    def ended() -> bool:
        ticker.end_calls()  # again, as it may not have set its deadline at the first time
        return future.done()

    await eventually(ended)
    assert future.result(0) < 3600


def test_a_closed_clock_has_no_thread(engine: Engine) -> None:
    ticker = Ticker(engine)
    ticker.close()
    assert not ticker._thread.is_alive()
