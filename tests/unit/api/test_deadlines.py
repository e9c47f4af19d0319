"""Time limits, one timer for all."""

import asyncio

import pytest

from prx.api.deadlines import DeadlineError, Deadlines

SOON = 0.01


async def for_ever(ended: list[str]) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        ended.append("ended")


async def test_work_in_time_gives_its_result_and_its_own_error() -> None:
    deadlines = Deadlines()

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def fail(number: int) -> int:
        raise TimeoutError(f"the work's own, {number}")

    assert await deadlines.within(60, double, 21) == 42
    with pytest.raises(TimeoutError, match="the work's own, 1"):
        await deadlines.within(60, fail, 1)


async def test_work_that_lifts_its_limit_takes_as_long_as_it_likes() -> None:
    deadlines = Deadlines()

    async def outlive(others: list[str]) -> str:
        deadlines.lift()
        with pytest.raises(DeadlineError):
            await asyncio.create_task(deadlines.within(2 * SOON, for_ever, others))
        return "done"

    assert await deadlines.within(SOON, outlive, []) == "done"


async def test_work_that_takes_too_long_is_cancelled_and_its_task_lives_on() -> None:
    ended: list[str] = []
    with pytest.raises(DeadlineError):
        await Deadlines().within(SOON, for_ever, ended)
    assert ended == ["ended"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_each_has_its_own_deadline() -> None:
    deadlines = Deadlines()
    ended: list[str] = []
    patient = asyncio.create_task(deadlines.within(60, for_ever, ended))
    await asyncio.sleep(0)
    for secs in (SOON, 2 * SOON, SOON):
        with pytest.raises(DeadlineError):
            await deadlines.within(secs, for_ever, ended)
    assert ended == ["ended"] * 3
    assert not patient.done()
    patient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await patient


async def test_many_run_out_at_the_same_time() -> None:
    deadlines = Deadlines()
    running = [deadlines.within(SOON * (1 + number % 3), for_ever, []) for number in range(50)]
    results = await asyncio.gather(*map(asyncio.create_task, running), return_exceptions=True)
    assert [type(result) for result in results] == [DeadlineError] * 50


async def test_a_cancellation_from_outside_stays_one() -> None:
    task = asyncio.create_task(Deadlines().within(60, for_ever, []))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_wins_over_a_deadline_at_the_same_time() -> None:
    task = asyncio.create_task(Deadlines().within(SOON, leave_slowly, asyncio.Event()))
    await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def leave_slowly(never: asyncio.Event) -> None:
    """Have a second cancellation arrive while the deadline's is under way."""
    try:
        await never.wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await never.wait()


async def test_work_that_shrugs_off_its_deadline_keeps_its_result() -> None:
    async def stubborn(answer: str) -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return answer
        raise AssertionError

    assert await Deadlines().within(SOON, stubborn, "done anyway") == "done anyway"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_all_that_has_a_limit_can_be_ended_at_once() -> None:
    deadlines = Deadlines()
    ended: list[str] = []

    async def lifted(others: list[str]) -> str:
        deadlines.lift()
        await asyncio.gather(*calls, return_exceptions=True)
        return f"{len(others)} ended"

    calls = [asyncio.create_task(deadlines.within(60, for_ever, ended)) for _ in range(2)]
    stream = asyncio.create_task(deadlines.within(60, lifted, ended))
    await asyncio.sleep(0)
    deadlines.end_all()
    deadlines.end_all()
    for call in calls:
        with pytest.raises(DeadlineError):
            await call
    assert await stream == "2 ended"
