"""Turns over the end of a daemon, or of its store."""

import asyncio
import sqlite3
from typing import Any

import pytest

from prx.core.errors import UnavailableError
from prx.core.message import Answer, Failure
from prx.runtime.store import Store
from tests.support.agents import Bench, Model, begun, say, saying, told
from tests.support.waiting import eventually


async def test_a_stop_interrupts_what_runs_and_what_waits_has_failed_at_the_next_start(
    bench: Bench, model: Model
) -> None:
    session = await begun(bench)
    model.script = [["I was", asyncio.Event()], saying("late"), saying("later")]
    running = await bench.agent.post(session, "hello", key="k1")
    waiting = await bench.agent.post(session, "anybody?", key="k2")
    await running.feed.after(0)
    [task] = bench.agent._running
    task.cancel()
    assert (await running.answer()).error is not None
    assert (await waiting.answer()).content == "late"
    # As after a kill: a message was taken, and nothing came of it.
    await bench.store.run(
        lambda db: db.execute("UPDATE session_messages SET state = 'open' WHERE key = 'k2'").rowcount
    )
    await bench.open()
    async with _second_life(bench):
        page = await bench.agent.transcript(session)
        last = page.messages[-1]
        assert isinstance(last, Answer)
        assert last.error is not None
        assert (last.error.code, last.reply_to) == ("interrupted", waiting.message.id)
        answer = await say(bench, session, "anybody?", key="k2")
        assert (answer.content, answer.reply_to) == ("later", waiting.message.id)


def _second_life(bench: Bench) -> Any:
    model = bench.model
    bench.model = Model(saying("later"))
    bench.model.name = "second"
    bench.config = bench.config.model_copy(
        update={"provider": bench.config.provider.model_copy(update={"name": "second"})}
    )
    assert model is not bench.model
    return bench.serving()


async def test_a_drain_lets_turns_end_and_takes_no_messages(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("just in time")]]
    pending = await bench.agent.post(session, "hello")
    draining = asyncio.ensure_future(bench.agent.drain(30))
    await eventually(lambda: bench.agent._draining)
    with pytest.raises(UnavailableError, match="takes no messages any more"):
        await bench.agent.post(session, "one more")
    assert not draining.done()
    go_on.set()
    await draining
    assert (await pending.answer()).content == "just in time"


async def test_a_drain_ends_when_its_time_is_over(bench: Bench, model: Model) -> None:
    model.script = [[asyncio.Event()]]
    await bench.agent.post(await begun(bench), "hello")
    await bench.agent.drain(0.01)


async def test_what_is_said_while_the_store_refuses_is_told_as_lost(
    bench: Bench, model: Model, store: Store
) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("for nobody")]]
    pending = await bench.agent.post(session, "hello", key="k")
    await eventually(lambda: model.asked)
    await store.aclose()
    go_on.set()
    with pytest.raises(UnavailableError):
        await pending.answer()
    assert (await told(pending))[-1][0] == "error"


async def test_whoever_waits_hears_of_a_store_that_is_broken(
    bench: Bench, model: Model, store: Store
) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("for nobody")]]
    pending = await bench.agent.post(session, "hello")
    await eventually(lambda: model.asked)
    await store.run(lambda db: db.execute("ALTER TABLE session_messages RENAME TO gone").rowcount)
    go_on.set()
    with pytest.raises(sqlite3.OperationalError):
        await pending.answer()
    assert (await told(pending))[-1] == (
        "error",
        Failure("internal_error", "Internal error; the daemon's log has more"),
    )
    with pytest.raises(sqlite3.OperationalError):
        await bench.agent.post(session, "hello")
