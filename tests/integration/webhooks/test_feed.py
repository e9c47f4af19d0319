"""What is known in memory alone: news and new problems, stored at once, and counted where there is no room."""

import asyncio
import sqlite3

from prx.core.ids import now_utc
from prx.core.unit import Problem
from tests.integration.egress.servers import serving, silent
from tests.integration.webhooks.conftest import RunStage, Stage
from tests.integration.webhooks.receiver import receiving
from tests.support.waiting import PATIENCE_SECS, eventually


def problem(reason: str) -> Problem:
    return Problem("plugin.weather", reason, now_utc(), "do something")


async def test_a_problem_is_told_once_when_it_is_new(stage: Stage) -> None:
    stage.problems.append(problem("too hot"))
    async with receiving() as receiver:
        feed = stage.webhooks._feed
        await eventually(lambda: len(feed._known) == 1)
        await stage.register(receiver.url, "error.occurred")
        # What was known before is no news, and what comes at once is.
        stage.problems.append(problem("too cold"))
        await receiver.has(1)
        stage.problems.clear()
        await eventually(lambda: feed._known == set())
        stage.problems.append(problem("too cold"))
        await receiver.has(2)
    assert [event["data"]["reason"] for event in receiver.received] == ["too cold"] * 2
    assert sorted(receiver.received[0]["data"]) == ["action", "reason", "since", "unit"]


async def test_a_problem_that_counts_is_told_once(stage: Stage) -> None:
    async with receiving() as receiver:
        feed = stage.webhooks._feed
        await stage.register(receiver.url, "error.occurred")
        stage.problems.append(problem("1 event was lost"))
        await receiver.has(1)
        stage.problems[:] = [problem("2 event was lost"), problem("out of ink")]
        await receiver.has(2)
        await eventually(lambda: len(feed._known) == 2)
    assert [event["data"]["reason"] for event in receiver.received] == ["1 event was lost", "out of ink"]


async def test_what_finds_no_room_is_counted_and_said(stage: Stage) -> None:
    async with serving(silent) as hanging:
        hook = await stage.register(hanging.url(), "tool.executed")
        loop = asyncio.get_running_loop()
        blocked, released = asyncio.Event(), asyncio.Event()

        def block(_: sqlite3.Connection) -> None:
            loop.call_soon_threadsafe(blocked.set)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()

        blocking = asyncio.ensure_future(stage.store.run(block))
        await blocked.wait()
        for _ in range(1500):
            stage.bus.publish("prx.tool.after_execute", {"tool": "echo"})
        released.set()
        await blocking
        await eventually(stage.webhooks.problems)
        (said,) = stage.webhooks.problems()
        assert said.unit == "webhooks.feed"
        assert said.reason.startswith("476 events")
        async with asyncio.timeout(PATIENCE_SECS):
            while await stage.webhooks.pending(hook) < 1024:
                continue
        assert await stage.webhooks.pending(hook) == 1024


async def test_news_of_the_last_moment_are_stored_before_the_end(run_stage: RunStage) -> None:
    async with receiving() as receiver:
        async with run_stage() as stage:
            hook = await stage.register(receiver.url)
            for _ in range(100):
                stage.bus.publish("prx.tool.after_execute", {"tool": "echo"})
        async with run_stage() as stage:
            await stage.settled(hook, ["delivered"] * 100)
            ids = {event["id"] for event in receiver.received}
    assert len(ids) == 100
