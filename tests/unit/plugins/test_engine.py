"""The clock that ends calls: on time, never too early, and at once when the daemon stops."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import Engine, Instance, Module, Store, Trap

from prx.plugins.engine import TICK_SECS, Ticker, engine_config, ticks
from tests.support.calls import call_of
from tests.support.waiting import eventually

_LOOP = '(module (func (export "run") (loop $again br $again)))'

Loop = Callable[[float], Future[float]]


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
    """Start a guest that never ends, with a limit in seconds; the future tells how long it ran."""

    def run(limit: float) -> float:
        store = Store(engine)
        if request.node.callspec.params["engine"]:
            store.set_fuel(2**63)
        run = Instance(store, Module(engine, _LOOP), []).exports(store)["run"]
        ticker.begin(store)
        try:
            started = time.monotonic()
            store.set_epoch_deadline(ticks(limit) + ticker.owed(time.monotonic()))
            with pytest.raises(Trap, match="wasm trap: interrupt"):
                run(store)
            return time.monotonic() - started
        finally:
            ticker.end(store)
            store.close()

    with ThreadPoolExecutor() as threads:
        yield lambda limit: threads.submit(run, limit)


@given(st.floats(0, 3600))
def test_a_deadline_is_never_too_early(secs: float) -> None:
    # The tick that is under way counts as one, so one more is needed to be sure.
    assert ticks(secs) >= 1
    assert (ticks(secs) - 1) * TICK_SECS >= secs * (1 - 1e-9)
    assert (ticks(secs) - 3) * TICK_SECS < secs


def test_a_loop_ends_after_its_time_and_not_before(loop: Loop) -> None:
    for limit in (0.05, 0.2):
        assert loop(limit).result(30) >= limit


def test_calls_with_different_limits_each_end_after_their_own(loop: Loop) -> None:
    limits = [0.02, 0.1, 0.3]
    futures = [loop(limit) for limit in limits]
    assert all(future.result(30) >= limit for future, limit in zip(futures, limits, strict=True))


def test_the_clock_starts_again_after_a_rest(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    # It rests between any two calls.
    monkeypatch.setattr("prx.plugins.engine._IDLE_SECS", 0.0)
    for _ in range(5):
        assert loop(0.03).result(30) >= 0.03


async def test_ending_calls_ends_one_that_may_run_for_an_hour(loop: Loop, ticker: Ticker) -> None:
    future = loop(3600)

    def ended() -> bool:
        ticker.end_calls(3600)  # again, as it may not have set its deadline at the first time
        return future.done()

    await eventually(ended)
    assert future.result(0) < 3600


def test_ending_calls_with_none_running_is_over_at_once(ticker: Ticker) -> None:
    ticker.end_calls(3600)
    assert ticker._busy == set()


def test_a_closed_clock_has_no_thread(engine: Engine) -> None:
    ticker = Ticker(engine)
    ticker.close()
    assert not ticker._thread.is_alive()


def test_a_clock_that_is_late_owes_the_ticks_that_it_did_not_give_yet(ticker: Ticker) -> None:
    assert ticker.owed(time.monotonic() + 60) == 0  # it rests: nothing is late
    ticker.close()
    ticker._resting = False
    assert ticker.owed(ticker._told + 25.5 * TICK_SECS) == 25
    assert ticker.owed(ticker._told - 1) == 0


def test_a_call_that_begins_while_the_clock_is_late_keeps_all_of_its_time(
    ticker: Ticker,
) -> None:
    ticker.close()
    ticker._resting = False
    ticker._told = time.monotonic() - 1
    call = call_of(max_execution_secs=0.05)
    call.begin(ticker)
    assert 100 <= call.owed_ticks < 3000
