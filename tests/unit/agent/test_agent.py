"""Messages and their turns: one at a time in a session, in order, no more than may be, and told of."""

import asyncio

import pytest

from prx.core.errors import ConflictError, NotFoundError, UnavailableError
from prx.core.event import topics
from prx.core.message import Failure
from prx.core.provider import ChatAnswer, ProviderError
from prx.runtime.store import Store
from tests.support.agents import Bench, Model, begun, say, saying, transcript
from tests.support.waiting import PATIENCE_SECS, eventually


async def test_one_session_has_one_turn_at_a_time_in_the_order_of_its_messages(
    bench: Bench, model: Model
) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, ChatAnswer("first")], saying("second"), saying("third")]
    pending = [await bench.agent.post(session, text) for text in ("1", "2", "3")]
    await eventually(lambda: model.asked)
    assert len(model.asked) == 1
    go_on.set()
    assert [(await each.answer()).content for each in pending] == ["first", "second", "third"]
    assert [request.messages[-1].content for request in model.asked] == ["1", "2", "3"]


async def test_only_so_many_turns_run_at_once_and_more_may_as_soon_as_that_is_configured(
    bench: Bench, model: Model
) -> None:
    bench.configure(agent={"max_concurrent_turns": 1})
    go_on = asyncio.Event()
    model.script = [[go_on, ChatAnswer("a")], [go_on, ChatAnswer("b")], [go_on, ChatAnswer("c")]]
    pending = [await bench.agent.post(await begun(bench), "hi") for _ in range(3)]
    await eventually(lambda: model.asked)
    assert len(model.asked) == 1
    bench.configure(agent={"max_concurrent_turns": 2})
    await eventually(lambda: len(model.asked) == 2)
    go_on.set()
    assert sorted([(await each.answer()).content for each in pending]) == ["a", "b", "c"]


async def test_a_session_with_too_many_messages_waiting_takes_no_more(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, ChatAnswer("first")]]
    pending = [await bench.agent.post(session, "hi")]
    await eventually(lambda: model.asked)
    pending += [await bench.agent.post(session, "hi") for _ in range(16)]
    with pytest.raises(UnavailableError, match="16 messages waiting"):
        await bench.agent.post(session, "hi")
    other = await begun(bench)
    await say(bench, other)
    go_on.set()
    for each in pending:
        await each.answer()
    assert len(await transcript(bench, session)) == 34


async def test_a_session_that_had_its_turns_takes_no_more_messages(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"max_turns": 2})
    go_on = asyncio.Event()
    model.script = [saying("one"), [go_on, ChatAnswer("two")]]
    await say(bench, session)
    second = await bench.agent.post(session, "hi")
    with pytest.raises(ConflictError, match="has had its 2 turns"):
        await bench.agent.post(session, "hi")
    go_on.set()
    await second.answer()
    with pytest.raises(ConflictError, match="raise agent"):
        await bench.agent.post(session, "hi")
    bench.configure(agent={"max_turns": 3})
    assert (await say(bench, session)).error is None


async def test_a_message_needs_a_session_that_is_open(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        await bench.agent.post("sess_none", "hi")
    session = await begun(bench)
    await bench.sessions.terminate(session)
    with pytest.raises(ConflictError, match="is terminated"):
        await bench.agent.post(session, "hi")
    assert await transcript(bench, session) == []
    with pytest.raises(NotFoundError):
        await bench.agent.transcript("sess_none")


async def test_a_message_that_is_taken_while_its_session_ends_has_no_turn(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [[asyncio.Event()]] * 2
    posting = asyncio.ensure_future(bench.agent.post(session, "hello"))
    while not bench.sessions._changes:  # until the store has been asked  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await bench.sessions.terminate(session)
    answer = await (await posting).answer()
    assert answer.error == Failure("cancelled", "The session was ended before the answer")


async def test_a_turn_that_goes_on_keeps_its_session_open(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    begun_at = (await bench.sessions.get(session)).last_activity
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("done")]]
    pending = await bench.agent.post(session, "hello")
    taken_at = (await bench.sessions.get(session)).last_activity
    assert taken_at >= begun_at
    bench.configure(agent={"session_idle_secs": 1})
    open_ = bench.sessions._open._by_id
    await eventually(lambda: open_[session].last_activity > taken_at)
    go_on.set()
    await pending.answer()


async def test_a_turn_keeps_its_session_open_however_much_else_goes_on(bench: Bench, model: Model) -> None:
    session, other = await begun(bench), await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("done")]]
    bench.configure(agent={"session_idle_secs": 1, "max_turns": 10_000})
    pending = await bench.agent.post(session, "hello")
    open_ = bench.sessions._open._by_id
    taken_at = open_[session].last_activity
    async with asyncio.timeout(PATIENCE_SECS):
        while open_[session].last_activity == taken_at:
            await say(bench, other)
    go_on.set()
    await pending.answer()


async def test_events_tell_of_messages_and_so_does_the_outbox(bench: Bench, store: Store) -> None:
    session = await begun(bench)
    with bench.points.bus.subscribed(topics("prx.session.message")) as heard:
        answer = await say(bench, session)
        payloads = [(await heard.take()).payload for _ in range(2)]
    about = {"session_id": session, "channel": "api", "user_id": "user_1"}
    assert payloads == [
        {"id": answer.reply_to, **about, "role": "user"},
        {"id": answer.id, **about, "role": "assistant", "reply_to": answer.reply_to, "error": None},
    ]
    noted = await store.run(lambda db: db.execute("SELECT plugin, key FROM plugin_kv").fetchall())
    assert ("message.received", answer.reply_to) in noted
    assert ("message.sent", answer.id) in noted


async def test_metrics_tell_how_turns_are(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [saying("one"), [ProviderError("asleep")], [asyncio.Event()]]
    await say(bench, session)
    await say(bench, session)
    await bench.agent.post(session, "three")
    await bench.agent.post(session, "four")
    await eventually(lambda: len(model.asked) == 3)
    running, waiting, ended = bench.agent.metrics()
    assert (running.samples, waiting.samples) == ((((), 1),), (((), 1),))
    assert ended.samples == [(("answered",), 1.0), (("provider_error",), 1.0)]
