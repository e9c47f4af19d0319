"""Turns of conversations that outgrow the model."""

import json

from prx.core.message import Failure
from prx.core.provider import ConversationTooLongError, ProviderError
from prx.core.session import TokenUsage
from tests.support.agents import Bench, Model, Step, begun, say, saying, told, transcript


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


async def test_a_past_that_no_model_may_summarize_is_left_out(bench: Bench, model: Model) -> None:
    session = await with_a_long_past(bench, model)
    guard = Step("llm_request", lambda data: None if "question 1" in json.dumps(data["messages"]) else data)
    with bench.points.middleware.offering(guard):
        assert (await say(bench, session, "and now?")).error is None
    [asked] = model.asked
    assert [message.content[:10] for message in asked.messages] == ["question 3", "answer 3", "and now?"]


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
