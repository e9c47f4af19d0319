"""Messages and their turns: kept, in order, one at a time in a session, and never lost to a failure."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from prx.agent.pending import Pending
from prx.agent.sessions import Sessions
from prx.config.schema import AgentConfig
from prx.core.errors import ConflictError, NotFoundError, UnavailableError
from prx.core.event import topics
from prx.core.message import Answer, Approval, CalledTool, Failure, Message
from prx.core.outbox import StoredEvent
from prx.core.provider import (
    ChatAnswer,
    ChatMessage,
    ConversationTooLongError,
    ProviderConfigurationError,
    ProviderError,
    ToolRequest,
)
from prx.core.session import TokenUsage
from prx.core.tool import CallContext, ToolFailure, ToolResult, ToolSpec
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.store import Store
from tests.support.agents import Bench, Model, calling, saying
from tests.support.waiting import eventually


class Told:
    """An outbox that keeps what it was given once that is on disk: in a table of the same file."""

    def put(self, connection: sqlite3.Connection, event: StoredEvent, data: Mapping[str, Any]) -> None:
        connection.execute("INSERT INTO plugin_kv VALUES (?, ?, '')", (event, data["id"]))


class Tool:
    """Does what the test says."""

    def __init__(self, name: str, act: Any) -> None:
        self.spec = ToolSpec(name, "Does what the test says", {"type": "object"}, "builtin")
        self._act = act

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        result = self._act(arguments, context)
        return await result if asyncio.iscoroutine(result) else result


class Step:
    """Middleware that does what the test says."""

    name = "plugin:step"

    def __init__(self, stage: Any, act: Any) -> None:
        self.priorities = {stage: 50}
        self._act = act

    async def process(self, _stage: str, data: Any, _context: CallContext) -> Any:
        return self._act(data)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


@pytest.fixture
async def bench(store: Store, model: Model) -> AsyncIterator[Bench]:
    """An agent that serves."""
    points = ExtensionPoints.on(Bus())
    sessions = await Sessions.open(store, points.bus, Told(), AgentConfig)
    bench = Bench(store, sessions, points, model, outbox=Told())
    await bench.open()
    async with bench.serving():
        yield bench
    await sessions.aclose()


async def begun(bench: Bench) -> str:
    return (await bench.sessions.create("api", "user_1", {})).id


async def say(bench: Bench, session: str, content: str = "hello", **more: Any) -> Answer:
    return await (await bench.agent.post(session, content, **more)).answer()


async def transcript(bench: Bench, session: str) -> list[tuple[str, str]]:
    page = await bench.agent.transcript(session, limit=500)
    assert page.total == len(page.messages)
    return [(message.role, message.content) for message in page.messages]


async def told(pending: Pending) -> list[tuple[str, Any]]:
    """Return everything that a turn tells."""
    found: list[tuple[str, Any]] = []
    while (events := await pending.feed.after(len(found))) is not None:
        found += events
    return found


async def test_a_message_is_answered_and_both_are_kept(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [saying("good day")]
    answer = await say(bench, session, request_id="req-1")
    assert (answer.content, answer.usage, answer.error) == ("good day", TokenUsage(3, 2), None)
    assert (answer.provider, answer.model, answer.finish) == ("script", "m1", "stop")
    page = await bench.agent.transcript(session)
    [said, stored] = page.messages
    assert (said.role, said.content, page.total) == ("user", "hello", 2)
    assert isinstance(stored, Answer)
    assert stored == answer.__class__(**{**_fields(answer), "created_at": stored.created_at})
    assert answer.reply_to == said.id
    found = await bench.sessions.get(session)
    assert (found.turn_count, found.token_usage) == (1, TokenUsage(3, 2))
    assert found.last_activity >= found.created_at


def _fields(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in (*Message.__slots__, *Answer.__slots__) if name != "role"}


async def test_the_model_sees_what_was_said_before(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(
        agent={"system_prompt": "Be kind."}, provider={"name": "script", "model": "m2", "temperature": 0.3}
    )
    await say(bench, session, "one")
    await say(bench, session, "two")
    request = model.asked[1]
    assert request.messages == (
        ChatMessage("user", "one"), ChatMessage("assistant", "answer 1"), ChatMessage("user", "two"),
    )  # fmt: skip
    assert (request.system, request.model, request.temperature) == ("Be kind.", "m2", 0.3)


async def test_the_turn_tells_what_happens_as_it_happens(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [["go", go_on, "od", ChatAnswer("good")]]
    pending = await bench.agent.post(session, "hello")
    assert await pending.feed.after(0) == [("token", "go")]
    go_on.set()
    answer = await pending.answer()
    assert await told(pending) == [("token", "go"), ("token", "od"), ("done", answer)]


async def test_tools_run_at_the_same_time_and_their_results_go_back_to_the_model(
    bench: Bench, model: Model
) -> None:
    session = await begun(bench)
    both = asyncio.Barrier(2)
    contexts = []

    async def meet(arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        contexts.append(context)
        await both.wait()
        return ToolResult({"sum": arguments["a"] + 1})

    model.script = [calling(("meet", '{"a": 1}'), ("meet", '{"a": 2}'), text="let me see"), saying("5")]
    with bench.points.tools.offering([Tool("meet", meet)]):
        pending = await bench.agent.post(session, "add", request_id="req-1")
        answer = await pending.answer()
    first = CalledTool("call-1", "meet", '{"a": 1}', {"sum": 2})
    second = CalledTool("call-2", "meet", '{"a": 2}', {"sum": 3})
    assert answer.tool_calls == [first, second]
    assert (answer.content, answer.usage) == ("5", TokenUsage(8, 3))
    assert [spec.name for spec in model.asked[0].tools] == ["meet"]
    assert model.asked[1].messages == (
        ChatMessage("user", "add"),
        ChatMessage(
            "assistant",
            "let me see",
            [ToolRequest("call-1", "meet", '{"a": 1}'), ToolRequest("call-2", "meet", '{"a": 2}')],
        ),
        ChatMessage("tool", '{"sum": 2}', tool_call_id="call-1"),
        ChatMessage("tool", '{"sum": 3}', tool_call_id="call-2"),
    )
    assert {context.session_id for context in contexts} == {session}
    assert {context.request_id for context in contexts} == {"req-1"}
    events = await told(pending)
    assert sorted(name for name, _ in events) == [
        "done",
        "token",
        "tool_call",
        "tool_call",
        "tool_result",
        "tool_result",
    ]
    # The next turn knows what was done.
    await say(bench, session, "and then?")
    assert model.asked[2].messages[:-1] == (*model.asked[1].messages, ChatMessage("assistant", "5"))


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (("fails", "{}"), "tool_error", "out of ink"),
        (("absent", "{}"), "not_found", 'Tool "absent" is not offered'),
        (("fails", '{"a": '), "bad_request", "The arguments are not JSON"),
        (("fails", "[]"), "bad_request", "The arguments are not a JSON object"),
        (("busy", ""), "unavailable", "too busy"),
    ],
)
async def test_a_tool_that_fails_is_told_to_the_model_and_ends_no_turn(
    bench: Bench, model: Model, request_: tuple[str, str], code: str, message: str
) -> None:
    session = await begun(bench)

    def busy(*_: object) -> ToolResult:
        raise UnavailableError("too busy")

    failing = Tool("fails", lambda *_: ToolResult(error=ToolFailure("tool_error", "out of ink")))
    model.script = [calling(request_), saying("sorry")]
    with bench.points.tools.offering([failing, Tool("busy", busy)]):
        answer = await say(bench, session)
    [call] = answer.tool_calls
    assert call.error is not None
    assert (call.error.code, call.error.message[: len(message)], answer.content) == (code, message, "sorry")
    last = model.asked[1].messages[-1]
    assert (last.role, last.failed, last.tool_call_id) == ("tool", True, "call-1")


async def test_a_turn_that_used_its_tool_calls_has_to_answer(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"max_tool_calls_per_turn": 2})
    three = [("echo", "{}")] * 3
    model.script = [calling(*three), saying("enough")]
    ran = []
    with bench.points.tools.offering([Tool("echo", lambda *_: ran.append(1) or ToolResult("hi"))]):
        answer = await say(bench, session)
    assert len(ran) == 2
    assert [call.error.code if call.error else None for call in answer.tool_calls] == [None, None, "limit"]
    assert model.asked[1].tools == ()
    assert answer.content == "enough"


async def test_calls_that_the_model_asks_for_after_that_are_not_run(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"max_tool_calls_per_turn": 1})
    model.script = [calling(("echo", "{}")), calling(("echo", "{}"), text="more!")]
    with bench.points.tools.offering([Tool("echo", lambda *_: ToolResult("hi"))]):
        answer = await say(bench, session)
    assert (answer.content, len(answer.tool_calls)) == ("more!", 1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderError("the model is asleep"), "provider_error"),
        (ProviderConfigurationError("set a key"), "needs_configuration"),
        (KeyError("a bug"), "internal_error"),
    ],
)
async def test_a_provider_that_fails_is_an_error_on_the_answer_which_is_kept(
    bench: Bench, model: Model, error: Exception, code: str
) -> None:
    session = await begun(bench)
    model.script = [["half an ", error]]
    pending = await bench.agent.post(session, "hello")
    answer = await pending.answer()
    assert answer.error is not None
    assert (answer.error.code, answer.content) == (code, "half an ")
    assert (await told(pending))[-1] == ("error", answer)
    assert await transcript(bench, session) == [("user", "hello"), ("assistant", "half an ")]
    assert (await bench.sessions.get(session)).turn_count == 1
    # What was said is not forgotten; what was not answered is not made up.
    await say(bench, session, "again")
    assert model.asked[1].messages == (ChatMessage("user", "hello"), ChatMessage("user", "again"))


async def test_a_provider_that_is_not_there_says_how_to_set_one(bench: Bench) -> None:
    session = await begun(bench)
    bench.configure(provider={"name": "nobody", "model": "m"})
    answer = await say(bench, session)
    assert answer.error is not None
    assert answer.error.code == "needs_configuration"
    assert answer.error.message.startswith('there is no provider "nobody"')


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


async def test_a_message_sent_again_under_its_key_is_there_once(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("once")]]
    first = await bench.agent.post(session, "hello", key="k")
    joined = await bench.agent.post(session, "hello", key="k")
    assert joined is first
    go_on.set()
    answer = await first.answer()
    again = await bench.agent.post(session, "hello", key="k")
    assert (await again.answer()).id == answer.id
    assert [name for name, _ in await told(again)] == ["done"]
    assert await transcript(bench, session) == [("user", "hello"), ("assistant", "once")]
    with pytest.raises(ConflictError, match="was used for another message"):
        await bench.agent.post(session, "goodbye", key="k")
    # Keys of different sessions have nothing to do with each other.
    assert (await say(bench, await begun(bench), "goodbye", key="k")).error is None
    # An answer can be had after the end.
    await bench.sessions.terminate(session)
    assert (await say(bench, session, "hello", key="k")).id == answer.id


async def test_two_at_once_under_one_key_are_one_message(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    both = await asyncio.gather(*(say(bench, session, "hello", key="k") for _ in range(5)))
    assert len({answer.id for answer in both}) == 1
    assert len(model.asked) == 1
    with pytest.raises(ConflictError):
        await asyncio.gather(say(bench, session, "a", key="l"), say(bench, session, "b", key="l"))


async def test_a_failure_does_not_poison_the_key(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [[ProviderError("asleep")], saying("here I am")]
    failed = await say(bench, session, "hello", key="k")
    assert failed.error is not None
    answer = await say(bench, session, "hello", key="k")
    assert (answer.error, answer.content, answer.reply_to) == (None, "here I am", failed.reply_to)
    assert [role for role, _ in await transcript(bench, session)] == ["user", "assistant", "assistant"]
    assert model.asked[1].messages == (ChatMessage("user", "hello"),)
    # The next turn sees it once.
    await say(bench, session, "and?")
    assert model.asked[2].messages == (
        ChatMessage("user", "hello"), ChatMessage("assistant", "here I am"), ChatMessage("user", "and?"),
    )  # fmt: skip


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


async def test_middleware_changes_what_the_model_sees_and_what_is_answered(
    bench: Bench, model: Model
) -> None:
    session = await begun(bench)
    model.script = [saying("the secret is 42"), saying("two")]
    seen: list[Any] = []

    def request(data: Any) -> Any:
        seen.append(data)
        return data | {"system": "Speak low.", "tools": [], "model": "m9"}

    steps = [
        Step("inbound", lambda data: data | {"content": data["content"].replace("hunter2", "***")}),
        Step("llm_request", request),
        Step("llm_response", lambda data: data | {"content": data["content"].replace("42", "**")}),
        Step("outbound", lambda data: data | {"content": data["content"].upper()}),
    ]
    with (
        bench.points.tools.offering([Tool("echo", lambda *_: ToolResult("hi"))]),
        bench.points.middleware.offering(steps[0]),
        bench.points.middleware.offering(steps[1]),
        bench.points.middleware.offering(steps[2]),
        bench.points.middleware.offering(steps[3]),
    ):
        pending = await bench.agent.post(session, "my password is hunter2")
        answer = await pending.answer()
    assert answer.content == "THE SECRET IS **"
    # Nobody hears what the steps did not let out.
    assert await told(pending) == [("token", "THE SECRET IS **"), ("done", answer)]
    [asked] = model.asked
    assert (asked.messages, asked.system, asked.tools, asked.model) == (
        [ChatMessage("user", "my password is ***", [])], "Speak low.", [], "m9",
    )  # fmt: skip
    assert seen[0]["tools"] == ["echo"]
    assert {"session_id", "message_id", "channel", "user_id"} <= seen[0].keys()
    assert await transcript(bench, session) == [
        ("user", "my password is ***"), ("assistant", "THE SECRET IS **"),
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ["inbound", "llm_request", "llm_response", "outbound"])
async def test_what_middleware_gives_back_has_to_fit(bench: Bench, stage: str) -> None:
    session = await begun(bench)
    with bench.points.middleware.offering(Step(stage, lambda _: [])):
        answer = await say(bench, session)
    assert answer.error is not None
    assert answer.error.code == "forbidden"
    assert f"blocked at the stage {stage}: middleware gave back what does not fit" in answer.error.message
    assert answer.content == ""


async def test_no_model_sees_what_was_blocked(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    with bench.points.middleware.offering(Step("inbound", lambda _: None)):
        await say(bench, session, "forbidden")
    await say(bench, session, "fine")
    assert model.asked[0].messages == (ChatMessage("user", "fine"),)


async def test_an_outcome_that_is_very_long_is_cut(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [calling(("long", "{}")), saying("I see")]
    with bench.points.tools.offering([Tool("long", lambda *_: ToolResult("x" * 100_000))]):
        answer = await say(bench, session)
    [call] = answer.tool_calls
    assert call.output.endswith("x\n[34464 more characters were cut off]")
    assert model.asked[1].messages[-1].content == call.output


async def test_an_answer_without_end_is_cut_off(bench: Bench, model: Model) -> None:
    model.script = [["x" * 1_000_000, "x" * 1_000_000]]
    answer = await say(bench, await begun(bench))
    assert answer.error == Failure(
        "provider_error", "the answer has more than 1048576 characters: it was cut off"
    )
    assert len(answer.content) == 1_000_000


async def test_half_a_surrogate_pair_does_not_cost_the_answer(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [calling(("echo", '{"a": "\\ud800"}'), text="\ud800"), ["\ud800", ChatAnswer("\ud800")]]
    with bench.points.tools.offering([Tool("echo", lambda arguments, _: ToolResult(arguments["a"]))]):
        answer = await say(bench, session)
    assert (answer.error, answer.content) == (None, "?")
    assert len(await transcript(bench, session)) == 2


async def waiting_for_approval(bench: Bench, pending: Pending) -> Approval:
    """Return the approval that a turn waits for."""
    await eventually(lambda: bench.agent.approvals.open(pending.message.session_id))
    [approval] = bench.agent.approvals.open(pending.message.session_id)
    return approval


async def test_a_tool_that_needs_approval_runs_once_it_is_allowed(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["rm_*"]})
    model.script = [calling(("rm_all", "{}"), ("ls", "{}")), saying("done")]
    ran: list[str] = []

    def tool(name: str) -> Tool:
        return Tool(name, lambda *_: ran.append(name) or ToolResult("ok"))

    with (
        bench.points.tools.offering([tool("rm_all"), tool("ls")]),
        bench.points.bus.subscribed(topics("prx.session.approval")) as heard,
    ):
        pending = await bench.agent.post(session, "clean up")
        approval = await waiting_for_approval(bench, pending)
        await eventually(lambda: ran == ["ls"])
        assert approval.call == ToolRequest("call-1", "rm_all", "{}")
        with pytest.raises(NotFoundError):
            bench.agent.approvals.decide("sess_other", approval.id, approve=True)
        bench.agent.approvals.decide(session, approval.id, approve=True)
        answer = await pending.answer()
        event = await heard.take()
    assert (ran, answer.content) == (["ls", "rm_all"], "done")
    assert [call.error for call in answer.tool_calls] == [None, None]
    assert ("approval", approval) in await told(pending)
    assert (event.payload["id"], event.payload["tool"]) == (approval.id, "rm_all")
    with pytest.raises(NotFoundError, match="it may be decided"):
        bench.agent.approvals.decide(session, approval.id, approve=True)


async def test_a_call_that_is_denied_is_told_to_the_model_with_the_reason(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["*"]})
    model.script = [calling(("rm_all", "{}")), saying("then not")]
    with bench.points.tools.offering([Tool("rm_all", lambda *_: ToolResult("ok"))]):
        pending = await bench.agent.post(session, "clean up")
        approval = await waiting_for_approval(bench, pending)
        bench.agent.approvals.decide(session, approval.id, approve=False, reason="too late")
        answer = await pending.answer()
    assert answer.tool_calls[0].error == Failure("denied", "The call was not run: too late")
    assert model.asked[1].messages[-1].content == "The call was not run: too late"


async def test_what_nobody_allows_in_time_is_denied(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["*"], "approval_timeout_secs": 1})
    model.script = [calling(("rm_all", "{}")), saying("then not")]
    with bench.points.tools.offering([Tool("rm_all", lambda *_: ToolResult("ok"))]):
        answer = await say(bench, session, "clean up")
    assert answer.tool_calls[0].error == Failure(
        "denied", "The call was not run: nobody allowed it within 1 s"
    )
    assert bench.agent.approvals.open(session) == []


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


async def test_a_session_that_used_its_budget_takes_no_more_messages(bench: Bench) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"session_tokens": 5}})
    assert (await say(bench, session)).error is None
    with pytest.raises(ConflictError) as refused:
        await bench.agent.post(session, "more")
    assert refused.value.message == (
        f"Session {session} takes no more messages: 5 tokens are used (the session), of 5 "
        "(agent.budgets.session_tokens); begin another"
    )
    assert (await say(bench, await begun(bench))).error is None
    bench.configure(agent={"budgets": {"session_tokens": 6}})
    assert (await say(bench, session)).error is None


async def test_what_an_answer_costs_counts_over_a_restart(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"session_cost_usd": 1, "daily_cost_usd": 1.5}})
    model.script = [[ChatAnswer("dear", cost_usd=1.25)], [ChatAnswer("dear", cost_usd=0.25)]]
    assert (await say(bench, session)).cost_usd == 1.25
    with pytest.raises(ConflictError, match=r"1\.25 USD are spent"):
        await bench.agent.post(session, "more")
    other = await begun(bench)
    assert (await say(bench, other)).error is None
    # As another life of the daemon sees it.
    await bench.open()
    with pytest.raises(UnavailableError) as refused:
        await bench.agent.post(other, "more")
    assert refused.value.message == (
        "No message is taken before midnight UTC: 1.50 USD are spent (today), of 1.50 (agent.budgets.daily_cost_usd)"
    )
    assert 0 < refused.value.retry_after_secs <= 86400


async def test_a_turn_that_used_the_budget_asks_the_model_no_more(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"session_tokens": 6}})
    model.script = [calling(("echo", "{}"), text="let me see")]
    with bench.points.tools.offering([Tool("echo", lambda *_: ToolResult("hi"))]):
        answer = await say(bench, session)
    assert answer.error is not None
    assert answer.error.code == "budget_exceeded"
    assert len(answer.tool_calls) == len(model.asked) == 1


async def with_a_long_past(bench: Bench, model: Model) -> str:
    """Return a session of some 3000 tokens, of which 1000 may be."""
    bench.configure(agent={"context_tokens": 1000})
    session = await begun(bench)
    bench.configure(agent={"context_tokens": 100_000})
    for number in (1, 2, 3):
        await say(bench, session, f"question {number} " + "x" * 1900)
    bench.configure(agent={"context_tokens": 1000})
    model.asked.clear()
    return session


async def test_the_older_part_of_a_long_conversation_becomes_a_summary(bench: Bench, model: Model) -> None:
    session = await with_a_long_past(bench, model)
    model.script = [saying("They asked twice."), saying("four")]
    pending = await bench.agent.post(session, "and now?")
    answer = await pending.answer()
    summarizing, asked = model.asked
    assert "question 1" in summarizing.messages[0].content
    assert "Assistant: answer 2" in summarizing.messages[0].content
    assert "question 3" not in summarizing.messages[0].content
    assert (summarizing.tools, "You summarize conversations" in summarizing.system) == ((), True)
    assert asked.system == "# What this conversation was about so far\n\nThey asked twice."
    assert [message.content[:10] for message in asked.messages] == ["question 3", "answer 3", "and now?"]
    # The summary is paid for, and not told.
    assert (answer.content, answer.usage) == ("four", TokenUsage(6, 4))
    assert await told(pending) == [("token", "four"), ("done", answer)]
    # It is kept: the next turn asks for no other one, and the transcript has everything.
    bench.configure(agent={"context_tokens": 100_000})
    await say(bench, session, "and then?")
    assert model.asked[2].system == asked.system
    assert model.asked[2].messages[0].content.startswith("question 3")
    assert len(await transcript(bench, session)) == 10


async def test_a_conversation_that_cannot_be_summarized_goes_on_without_its_older_part(
    bench: Bench, model: Model
) -> None:
    session = await with_a_long_past(bench, model)
    model.script = [[ProviderError("asleep")], saying("four")]
    answer = await say(bench, session, "and now?")
    assert (answer.error, answer.content) == (None, "four")
    assert len(model.asked[1].messages) == 3
    bench.configure(agent={"context_tokens": 100_000})
    await say(bench, session, "and then?")
    assert len(model.asked[2].messages) == 9


async def test_a_conversation_that_the_model_finds_too_long_is_shortened_once(
    bench: Bench, model: Model
) -> None:
    session = await with_a_long_past(bench, model)
    bench.configure(agent={"context_tokens": 100_000})
    too_long = ConversationTooLongError("too long")
    model.script = [[too_long], saying("They asked."), saying("four")]
    answer = await say(bench, session, "and now?")
    assert (answer.error, answer.content) == (None, "four")
    assert len(model.asked[2].messages) < len(model.asked[0].messages)
    # What is left is short; a model that still says so cannot be helped.
    model.script = [[too_long]]
    answer = await say(bench, session, "and then?")
    assert answer.error == Failure("conversation_too_long", "too long")


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


async def test_a_turn_keeps_its_session_open_however_much_else_goes_on(bench: Bench, model: Model) -> None:
    session, other = await begun(bench), await begun(bench)
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("done")]]
    bench.configure(agent={"session_idle_secs": 1, "max_turns": 10_000})
    pending = await bench.agent.post(session, "hello")
    open_ = bench.sessions._open._by_id
    taken_at = open_[session].last_activity
    async with asyncio.timeout(20):
        while open_[session].last_activity == taken_at:
            await say(bench, other)
    go_on.set()
    await pending.answer()


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


async def test_a_tool_that_middleware_left_out_is_not_called(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [calling(("rm_all", "{}")), saying("then not")]
    ran: list[int] = []
    with (
        bench.points.tools.offering([Tool("rm_all", lambda *_: ran.append(1) or ToolResult("ok"))]),
        bench.points.middleware.offering(Step("llm_request", lambda data: data | {"tools": []})),
    ):
        answer = await say(bench, session)
    assert answer.tool_calls[0].error == Failure("not_found", 'Tool "rm_all" is not offered')
    assert (ran, answer.content) == ([], "then not")
