"""Jobs whose thread is held where no deadline reaches it: answered in time, and back when they come back."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from prx.core.errors import UnavailableError
from prx.plugins.attempt import Attempt, Attempts
from prx.plugins.calls import GuestError, Limits
from prx.plugins.lane import Completions, Lane
from tests.support.waiting import eventually

LIMITS = Limits(max_execution_secs=0.05, max_concurrency=2, max_waiting=4)


class Kernel:
    """Holds threads, and lets them go."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.attempts: list[Attempt] = []

    def hold(self, attempt: Attempt) -> str:
        self.attempts.append(attempt)
        self.release.wait()
        return "late"


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
async def attempts(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Attempts]:
    # The kernel holds the call for as long as a test wants: the wait is only paid.
    monkeypatch.setattr("prx.plugins.attempt._GRACE_SECS", 0.05)
    lane = Lane(
        "x",
        Completions(asyncio.get_running_loop()),
        threads=LIMITS.max_concurrency,
        waiting=LIMITS.max_waiting,
        on_idle=lambda _asleep: None,
    )
    try:
        yield Attempts(lane, LIMITS)
    finally:
        kernel.release.set()
        assert await lane.aclose(10)


async def test_a_job_that_is_not_held_gives_its_result_or_error(attempts: Attempts) -> None:
    assert await attempts.outcome(lambda attempt: (attempt.begun is not None, attempt.given_up)) == (
        True,
        False,
    )
    with pytest.raises(ZeroDivisionError):
        await attempts.outcome(lambda _attempt: 1 // 0)


async def test_a_held_job_is_given_up_and_others_go_on(attempts: Attempts, kernel: Kernel) -> None:
    with pytest.raises(GuestError, match="held up in a file operation") as caught:
        await attempts.outcome(kernel.hold)
    assert caught.value.code == "timeout"
    assert kernel.attempts[0].given_up
    assert await attempts.outcome(lambda _attempt: "next") == "next"


async def test_with_all_threads_held_a_job_is_refused_until_one_comes_back(
    attempts: Attempts, kernel: Kernel
) -> None:
    held = [asyncio.ensure_future(attempts.outcome(kernel.hold)) for _ in range(LIMITS.max_concurrency)]
    waiting = asyncio.ensure_future(attempts.outcome(lambda _attempt: "never"))
    for each in held:
        with pytest.raises(GuestError):
            await each
    with pytest.raises(UnavailableError, match="threads are all held up"):
        await waiting
    kernel.release.set()
    assert await attempts.outcome(lambda _attempt: "back") == "back"
    await eventually(lambda: attempts._held == set())


async def test_a_job_whose_caller_goes_before_its_turn_does_not_run(
    attempts: Attempts, kernel: Kernel
) -> None:
    held = [asyncio.ensure_future(attempts.outcome(kernel.hold)) for _ in range(LIMITS.max_concurrency)]
    ran = threading.Event()
    waiting = asyncio.ensure_future(attempts.outcome(lambda _attempt: ran.set()))
    await asyncio.wait({waiting}, timeout=0)
    waiting.cancel()
    await asyncio.wait(held)
    kernel.release.set()
    await attempts.outcome(lambda _attempt: None)
    assert not ran.is_set()
    for each in held:
        assert isinstance(each.exception(), GuestError)
