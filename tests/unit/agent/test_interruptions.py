"""Turns over the end of a daemon, or of its store."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from prx.core.errors import UnavailableError
from prx.core.message import Answer, CalledTool, Failure, Round
from prx.core.provider import ChatMessage, ToolRequest
from prx.core.session import TokenUsage
from prx.core.tool import ToolResult
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.store import Store
from tests.support.agents import (
    Bench,
    Model,
    Tool,
    begun,
    calling,
    configured,
    say,
    saying,
    told,
    waiting_for_approval,
)
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


async def rounds_on_disk(store: Store) -> list[Any]:
    rows = await store.run(
        lambda db: db.execute("SELECT details FROM session_rounds ORDER BY message, number").fetchall()
    )
    return [json.loads(details)["round"] for (details,) in rows]


@asynccontextmanager
async def after_a_kill(bench: Bench, **tables: Any) -> AsyncIterator[Bench]:
    """Give the next life of an agent that did not come to its end: it finds what is on disk now."""
    later = Bench(bench.store, bench.sessions, ExtensionPoints.on(Bus()), Model(), configured(**tables))
    await later.open()
    async with later.serving():
        yield later


async def test_what_tools_did_is_told_although_the_daemon_was_killed_before_the_answer(
    bench: Bench, model: Model, store: Store
) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"daily_tokens": 1000}})
    model.script = [calling(("echo", "{}"), text="let me see"), ["I", asyncio.Event()]]
    with bench.points.tools.offering([Tool("echo", lambda *_: ToolResult("hi"))]):
        pending = await bench.agent.post(session, "hello", key="k")
        await eventually(lambda: len(model.asked) == 2)
    await eventually_on_disk(store, lambda rounds: bool(rounds) and rounds[0]["calls"][0]["output"] == "hi")
    async with after_a_kill(bench, agent={"budgets": {"daily_tokens": 1000}}) as later:
        said, answer = (await later.agent.transcript(session)).messages
        assert isinstance(answer, Answer)
        assert (said.content, answer.reply_to, answer.content) == ("hello", said.id, "")
        assert answer.error is not None
        assert (answer.error.code, answer.provider, answer.usage) == (
            "interrupted", "script", TokenUsage(5, 1),
        )  # fmt: skip
        done = CalledTool("call-1", "echo", "{}", "hi")
        assert answer.rounds == [Round("let me see", [done])]
        assert (await later.sessions.get(session)).token_usage == TokenUsage(5, 1)
        assert later.agent.budgets.today.tokens == 6
        # The answer has taken their place.
        assert await rounds_on_disk(store) == []
        # A model can go on from there: each call has its result.
        await say(later, session, "and now?")
        asked = later.model.asked[0].messages  # type: ignore[attr-defined]
        assert asked == (
            ChatMessage("user", "hello"),
            ChatMessage("assistant", "let me see", [ToolRequest("call-1", "echo", "{}")]),
            ChatMessage("tool", "hi", tool_call_id="call-1"),
            ChatMessage("user", "and now?"),
        )
    assert pending.taken is not None


async def test_a_call_that_ran_when_the_daemon_was_killed_may_have_been_done_and_one_to_be_allowed_was_not(
    bench: Bench, model: Model, store: Store
) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["held"]})
    seen: list[Any] = []

    async def hang(*_: object) -> ToolResult:
        # Whatever a tool has the store keep comes after the word that it was called.
        seen.append(await rounds_on_disk(store))
        return await asyncio.Event().wait()  # type: ignore[return-value]  # never

    quick = Tool("quick", lambda *_: ToolResult("done"))
    model.script = [calling(("quick", "{}"), ("hang", "{}"), ("held", "{}"))]
    with bench.points.tools.offering([quick, Tool("hang", hang), Tool("held", hang)]):
        pending = await bench.agent.post(session, "hello")
        approval = await waiting_for_approval(bench, pending)
        await eventually(lambda: seen)
    [[first]] = seen
    assert [call["name"] for call in first["calls"]] == ["quick", "hang", "held"]
    await eventually_on_disk(store, lambda rounds: rounds[0]["calls"][0]["output"] == "done")
    async with after_a_kill(bench) as later:
        answer = (await later.agent.transcript(session)).messages[-1]
        assert isinstance(answer, Answer)
        quick_call, hanging, held = answer.tool_calls
        assert (quick_call.output, quick_call.error) == ("done", None)
        assert hanging.error == Failure(
            "interrupted", "The turn ended while this ran: it may have been done, in part or in whole"
        )
        assert held.error == Failure("interrupted", "Not called: the turn ended before that was allowed")
    # Once it is allowed it may have been done, too.
    with bench.points.tools.offering([Tool("held", hang)]):
        bench.agent.approvals.decide(session, approval.id, approve=True)
        await eventually(lambda: len(seen) == 2)
    assert "it may have been done" in seen[1][0]["calls"][2]["error"][1]


async def eventually_on_disk(store: Store, reached: Callable[[list[Any]], bool]) -> None:
    async with asyncio.timeout(15):
        while not reached(await rounds_on_disk(store)):
            pass


async def test_a_store_that_refuses_for_a_while_costs_the_turn_nothing(
    bench: Bench, model: Model, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await begun(bench)

    def refuse(_: object) -> Any:
        raise UnavailableError("the disk is full")

    model.script = [calling(("echo", "{}")), calling(("echo", "{}")), ["", asyncio.Event()]]
    monkeypatch.setattr(store, "queue", refuse)

    def mend(*_: object) -> ToolResult:
        if len(model.asked) == 2:
            monkeypatch.undo()
        return ToolResult("hi")

    with bench.points.tools.offering([Tool("echo", mend)]):
        await bench.agent.post(session, "hello")
        await eventually(lambda: len(model.asked) == 3)
    await eventually_on_disk(store, lambda rounds: len(rounds) == 2)
