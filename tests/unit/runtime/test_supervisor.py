"""The supervisor: what fails comes back after growing pauses, and nothing is called stopped that is not."""

import asyncio
from collections.abc import Callable

import pytest

from prx.core.channel_errors import ThrottledError
from prx.core.errors import ConflictError, NotFoundError, PermanentError, UnavailableError
from prx.runtime.supervisor import Supervisor
from prx.runtime.unit_status import RestartPolicy
from tests.support.supervised import Time, Worker, fails, reached, supervisor, time

__all__ = ["supervisor", "time"]


class Stubborn(Worker):
    """Does not stop when told to, only when a test lets it."""

    async def run(self, started: Callable[[], None]) -> None:
        self.lives += 1
        started()
        while True:
            try:
                await self.ending
            except asyncio.CancelledError:
                self.ending = asyncio.get_running_loop().create_future()
            else:
                return


async def test_a_unit_runs_once_it_says_that_it_serves(supervisor: Supervisor) -> None:
    supervisor.add(Worker())
    assert supervisor.status()[0].state == "starting"
    await reached(supervisor, "running")
    assert supervisor.problems() == []


async def test_a_unit_that_fails_waits_and_comes_back(supervisor: Supervisor, time: Time) -> None:
    worker = Worker()
    supervisor.add(worker)
    assert await fails(supervisor, worker, OSError("gone")) == "OSError: gone"
    (problem,) = supervisor.problems()
    assert (problem.unit, problem.reason) == ("test.worker", "OSError: gone")
    time.advance(1.9)
    assert worker.lives == 1
    time.advance(0.1)
    await reached(supervisor, "running")
    assert (worker.lives, worker.serving) == (2, 1)
    assert supervisor.status()[0].restarts == 1
    assert supervisor.problems() == []


async def test_a_unit_that_fails_too_often_is_failed_until_it_is_restarted(
    supervisor: Supervisor, time: Time
) -> None:
    worker = Worker()
    supervisor.add(worker, RestartPolicy(max_restarts=2, window_secs=600))
    for _ in range(2):
        await fails(supervisor, worker, OSError("no route"))
        time.advance(60)
    reason = await fails(supervisor, worker, OSError("no route"), then="failed")
    assert reason == "failed 3 times within 600 s; the last time: OSError: no route"
    await supervisor.restart("test.worker")
    await reached(supervisor, "running")
    assert await fails(supervisor, worker, OSError("no route")) == "OSError: no route"


async def test_failures_long_ago_do_not_count(supervisor: Supervisor, time: Time) -> None:
    worker = Worker()
    supervisor.add(worker, RestartPolicy(max_restarts=1, window_secs=100, healthy_secs=1e9))
    for _ in range(5):
        await fails(supervisor, worker, OSError())
        time.advance(101)
    await reached(supervisor, "running")


async def test_without_a_limit_a_unit_is_never_given_up(supervisor: Supervisor, time: Time) -> None:
    worker = Worker()
    supervisor.add(worker, RestartPolicy(max_restarts=None))
    for _ in range(50):
        await fails(supervisor, worker, OSError())
        time.advance(60)
    await reached(supervisor, "running")


async def test_who_asks_to_be_left_alone_is_left_alone_for_as_long(
    supervisor: Supervisor, time: Time
) -> None:
    worker = Worker()
    supervisor.add(worker)
    await fails(supervisor, worker, ThrottledError("not so fast", retry_after_secs=300))
    assert time.pauses == [300]


async def test_failures_in_a_row_are_counted_until_it_was_healthy_for_a_while(
    supervisor: Supervisor, time: Time
) -> None:
    worker = Worker()
    supervisor.add(worker)
    counted = []
    for healthy_secs in (0, 0, 60):
        time.advance(healthy_secs)
        await fails(supervisor, worker, OSError())
        unit = supervisor.find("test.worker")
        assert unit is not None
        counted.append(unit.failures)
        time.advance(60)
        await reached(supervisor, "running")
    assert counted == [1, 2, 1]


async def test_a_permanent_error_is_not_retried(supervisor: Supervisor, time: Time) -> None:
    worker = Worker()
    supervisor.add(worker)
    assert await fails(supervisor, worker, PermanentError("wrong token"), then="failed") == "wrong token"
    time.advance(1e6)
    assert worker.lives == 1
    assert [problem.reason for problem in supervisor.problems()] == ["wrong token"]


async def test_a_unit_that_ends_without_being_stopped_is_started_again(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker)
    await reached(supervisor, "running")
    worker.ending.set_result(None)
    assert await reached(supervisor, "backoff") == "ended although nobody stopped it"


async def test_a_cancellation_from_within_is_a_failure_and_not_the_end(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker)
    await reached(supervisor, "running")
    worker.ending.cancel()
    assert await reached(supervisor, "backoff") == "was cancelled from within"


async def test_a_unit_that_fails_takes_no_sibling_with_it(supervisor: Supervisor) -> None:
    worker, sibling = Worker(), Worker("test.sibling")
    supervisor.add(worker)
    supervisor.add(sibling)
    await fails(supervisor, worker, ValueError())
    assert [(status.name, status.state) for status in supervisor.status()] == [
        ("test.sibling", "running"),
        ("test.worker", "backoff"),
    ]


async def test_a_removed_unit_has_given_back_what_it_owned(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker)
    await reached(supervisor, "running")
    await supervisor.remove("test.worker")
    assert worker.serving == 0
    assert supervisor.status() == []
    with pytest.raises(NotFoundError):
        await supervisor.remove("test.worker")


async def test_a_unit_in_its_pause_stops_at_once(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker)
    await fails(supervisor, worker, OSError())
    await supervisor.remove("test.worker")
    assert worker.lives == 1


async def test_restarts_at_the_same_time_leave_one_life(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker)
    await reached(supervisor, "running")
    await asyncio.gather(*(supervisor.restart("test.worker") for _ in range(5)))
    await reached(supervisor, "running")
    assert worker.serving == 1


async def test_a_restart_leaves_no_moment_in_which_the_unit_is_called_stopped(supervisor: Supervisor) -> None:
    supervisor.add(Worker())
    await reached(supervisor, "running")
    await supervisor.restart("test.worker")
    assert supervisor.status()[0].state == "starting"


async def test_a_restart_that_somebody_asked_for_counts(supervisor: Supervisor) -> None:
    supervisor.add(Worker())
    await reached(supervisor, "running")
    await supervisor.restart("test.worker")
    status = supervisor.find("test.worker")
    assert status is not None
    assert status.restarts == 1


async def test_a_unit_that_is_removed_meanwhile_is_not_restarted(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker)
    await reached(supervisor, "running")
    removal = asyncio.create_task(supervisor.remove("test.worker"))
    restart = asyncio.create_task(supervisor.restart("test.worker"))
    await removal
    with pytest.raises(NotFoundError):
        await restart
    assert supervisor.find("test.worker") is None
    assert (worker.lives, worker.serving) == (1, 0)


async def test_a_unit_that_is_given_up_says_what_to_do(supervisor: Supervisor) -> None:
    worker = Worker()
    supervisor.add(worker, remedy="renew its token")
    await fails(supervisor, worker, PermanentError("the token ended"), then="failed")
    (problem,) = supervisor.problems()
    assert (problem.reason, problem.action) == ("the token ended", "renew its token")


async def test_a_unit_that_will_not_stop_is_failed_and_no_second_is_started(supervisor: Supervisor) -> None:
    worker = Stubborn()
    supervisor.add(worker, RestartPolicy(stop_secs=0.01))
    await reached(supervisor, "running")
    for stop in (supervisor.restart, supervisor.remove):
        with pytest.raises(UnavailableError, match=r"did not stop within 0\.01 s"):
            await stop("test.worker")
        assert supervisor.status()[0].state == "failed"
    assert worker.lives == 1
    worker.ending.set_result(None)
    await reached(supervisor, "stopped")
    await supervisor.remove("test.worker")


async def test_closing_stops_all_and_names_those_that_stay(time: Time) -> None:
    supervisor = Supervisor(clock=time.clock, sleep=time.sleep)
    worker, stubborn = Worker(), Stubborn("test.stubborn")
    supervisor.add(worker)
    supervisor.add(stubborn, RestartPolicy(stop_secs=0.01))
    await reached(supervisor, "running", "test.stubborn")
    with pytest.raises(UnavailableError, match=r'unit "test\.stubborn" did not stop'):
        await supervisor.aclose()
    assert worker.serving == 0
    with pytest.raises(UnavailableError, match="stopping"):
        supervisor.add(Worker("test.late"))
    stubborn.ending.set_result(None)
    await supervisor.aclose()


async def test_a_name_is_taken_once(supervisor: Supervisor) -> None:
    supervisor.add(Worker())
    with pytest.raises(ConflictError):
        supervisor.add(Worker())


async def test_waiting_for_a_state_has_an_end(supervisor: Supervisor) -> None:
    supervisor.add(Worker())
    with pytest.raises(UnavailableError, match=r"after 0\.01 s, not failed"):
        await supervisor.wait("test.worker", {"failed"}, timeout_secs=0.01)


async def test_a_unit_whose_owner_tells_its_problems_is_no_problem_of_the_supervisor_s(
    supervisor: Supervisor,
) -> None:
    worker = Worker()
    supervisor.add(worker, own_problems=True)
    await fails(supervisor, worker, OSError("gone"))
    assert supervisor.problems() == []
