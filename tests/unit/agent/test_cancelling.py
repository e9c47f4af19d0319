"""What ends a turn before its answer, and what does not."""

import asyncio

from prx.core.message import Failure
from prx.core.tool import ToolResult
from tests.support.agents import (
    Bench,
    Model,
    Tool,
    begun,
    calling,
    say,
    saying,
    transcript,
    waiting_for_approval,
)
from tests.support.waiting import eventually


async def test_a_client_that_leaves_does_not_lose_the_turn(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("still here")]]
    waiting = asyncio.ensure_future(say(bench, session))
    await eventually(lambda: model.asked)
    waiting.cancel()
    await asyncio.wait({waiting})
    go_on.set()
    await eventually(lambda: not bench.agent._running)
    assert await transcript(bench, session) == [("user", "hello"), ("assistant", "still here")]


async def test_cancelling_ends_the_call_to_the_model_and_what_waits_behind_it(
    bench: Bench, model: Model
) -> None:
    session = await begun(bench)
    model.script = [["I was about to", asyncio.Event()]]
    running = await bench.agent.post(session, "hello")
    waiting = await bench.agent.post(session, "and another")
    assert await running.feed.after(0) == [("token", "I was about to")]
    assert bench.agent.cancel(session)
    answers = await running.answer(), await waiting.answer()
    assert [answer.error and answer.error.code for answer in answers] == ["cancelled", "cancelled"]
    assert answers[0].content == "I was about to"
    assert model.closed == 1
    assert not bench.agent.cancel(session)
    assert (await say(bench, session)).error is None


async def test_cancelling_one_message_leaves_the_others(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("first")], saying("third")]
    pending = [await bench.agent.post(session, text) for text in ("1", "2", "3")]
    await eventually(lambda: model.asked)
    assert bench.agent.cancel(session, pending[1].message.id)
    go_on.set()
    assert [(await each.answer()).content for each in pending] == ["first", "", "third"]


async def test_cancelling_ends_the_call_of_a_tool(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    ended = asyncio.Event()

    async def hang(*_: object) -> ToolResult:
        try:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # never
        finally:
            ended.set()

    model.script = [calling(("hang", "{}"))]
    with bench.points.tools.offering([Tool("hang", hang)]):
        pending = await bench.agent.post(session, "hello")
        assert await pending.feed.after(0) == [("tool_call", ("call-1", "hang", "{}"))]
        bench.agent.cancel(session)
        answer = await pending.answer()
    assert ended.is_set()
    assert answer.error is not None
    # What is known of the call is kept, and so is that no more is known.
    [call] = answer.tool_calls
    assert (call.name, call.error and call.error.code) == ("hang", "interrupted")
    await say(bench, session, "and now?")
    assert [message.role for message in model.asked[1].messages] == ["user", "assistant", "tool", "user"]


async def test_cancelling_a_turn_leaves_nothing_to_approve(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["*"]})
    model.script = [calling(("rm_all", "{}"))]
    with bench.points.tools.offering([Tool("rm_all", lambda *_: ToolResult("ok"))]):
        pending = await bench.agent.post(session, "clean up")
        await waiting_for_approval(bench, pending)
        bench.agent.cancel(session)
        await pending.answer()
    assert bench.agent.approvals.open(session) == []


async def test_the_end_of_a_session_ends_its_turn(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [[asyncio.Event()]]
    pending = await bench.agent.post(session, "hello")
    await eventually(lambda: model.asked)
    await bench.sessions.terminate(session)
    answer = await pending.answer()
    assert answer.error == Failure("cancelled", "The session was ended before the answer")
    assert (await bench.sessions.get(session)).status == "terminated"


async def test_a_turn_that_takes_too_long_is_given_up(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"turn_timeout_secs": 1})
    model.script = [["well, ", asyncio.Event()]]
    answer = await say(bench, session)
    assert answer.error == Failure("timeout", "The turn took longer than 1 s (agent.turn_timeout_secs)")
    assert answer.content == "well, "
