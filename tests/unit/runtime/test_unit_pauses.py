"""The pauses between the lives of a unit: they grow, and end early where there is nothing left to wait for."""

import asyncio

from prx.core.channel_errors import ThrottledError
from prx.runtime.supervisor import Supervisor
from tests.support.supervised import Time, Worker, fails, reached, supervisor, time
from tests.support.waiting import eventually

__all__ = ["supervisor", "time"]


class Patient(Worker):
    """Knows when what it failed for is over, because a test tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked = 0

    async def recovered(self) -> None:
        self.asked += 1
        self.over = asyncio.get_running_loop().create_future()
        await self.over


async def test_pauses_grow_while_it_fails_and_shrink_after_a_healthy_time(
    supervisor: Supervisor, time: Time
) -> None:
    worker = Worker()
    supervisor.add(worker)
    for _ in range(3):
        await fails(supervisor, worker, OSError())
        time.advance(60)
    await reached(supervisor, "running")
    time.advance(60)
    await fails(supervisor, worker, OSError())
    assert time.pauses == [2, 4, 8, 2]


async def test_a_pause_is_cut_short_for_who_is_in_a_hurry_and_the_next_one_grows_all_the_same(
    supervisor: Supervisor, time: Time
) -> None:
    worker = Worker()
    supervisor.add(worker)
    await fails(supervisor, worker, OSError("gone"))
    supervisor.hurry("test.worker", least_pause_secs=60)
    supervisor.hurry("test.nobody", least_pause_secs=0)
    assert supervisor.status()[0].state == "backoff"
    supervisor.hurry("test.worker", least_pause_secs=0)
    await reached(supervisor, "running")
    supervisor.hurry("test.worker", least_pause_secs=0)
    assert worker.lives == 2
    await fails(supervisor, worker, OSError("gone"))
    assert time.pauses == [2.0, 4.0]


async def test_who_is_in_a_hurry_twice_begins_one_life(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker)
    await fails(supervisor, worker, OSError("gone"))
    supervisor.hurry("test.worker", least_pause_secs=0)
    await asyncio.sleep(0)  # the pause is about to end
    supervisor.hurry("test.worker", least_pause_secs=0)
    await reached(supervisor, "running")
    assert worker.lives == 2


async def test_a_unit_that_has_recovered_does_not_wait_for_its_pause_and_the_next_one_is_the_first_again(
    supervisor: Supervisor, time: Time
) -> None:
    unit = Patient()
    supervisor.add(unit)
    for _ in range(2):
        await fails(supervisor, unit, OSError("gone"))
        time.advance(60)
    await fails(supervisor, unit, OSError("gone"))
    await eventually(lambda: unit.asked == 3)
    unit.over.set_result(None)
    await fails(supervisor, unit, OSError("gone"))
    assert (unit.lives, time.pauses) == (4, [2.0, 4.0, 8.0, 2.0])


async def test_who_is_asked_to_wait_waits_although_it_would_be_let_in(
    supervisor: Supervisor, time: Time
) -> None:
    unit = Patient()
    supervisor.add(unit)
    await fails(supervisor, unit, ThrottledError("slowly", retry_after_secs=30))
    time.advance(30)
    await reached(supervisor, "running")
    assert (unit.asked, time.pauses) == (0, [30.0])


async def test_a_unit_that_cannot_tell_whether_it_has_recovered_waits_for_its_pause(
    supervisor: Supervisor, time: Time
) -> None:
    unit = Patient()
    supervisor.add(unit)
    await fails(supervisor, unit, OSError("gone"))
    await eventually(lambda: unit.asked == 1)
    unit.over.set_exception(OSError("no idea"))
    await asyncio.sleep(0)
    assert unit.lives == 1
    time.advance(2)
    await reached(supervisor, "running")
