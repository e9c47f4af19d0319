"""One turn: what the model is asked, which tools run, and what comes of failures on the way."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from prx.core.errors import UnavailableError
from prx.core.message import Answer, CalledTool, Failure, Message
from prx.core.provider import ChatAnswer, ChatMessage, ProviderConfigurationError, ProviderError, ToolRequest
from prx.core.session import TokenUsage
from prx.core.tool import CallContext, ToolFailure, ToolResult
from tests.support.agents import Bench, Model, Tool, begun, calling, say, saying, told, transcript


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
    assert (answer.error, answer.content) == (None, "\ufffd")
    assert len(await transcript(bench, session)) == 2
