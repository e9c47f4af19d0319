"""Messages that are sent again under the same key."""

import asyncio

import pytest

from prx.core.errors import ConflictError
from prx.core.provider import ChatMessage, ProviderError
from tests.support.agents import Bench, Model, begun, say, saying, told, transcript


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
