"""From a message on a platform to the answer there: who is heard, sessions, commands and pace."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prx.agent.providers.builtin import BuiltinProvider
from prx.core.errors import NotFoundError
from prx.core.provider import ProviderError
from tests.support.agents import Model
from tests.support.channel_daemon import Daemon, living
from tests.support.channel_kit import Echo
from tests.support.conversations import RICH, a_life, asked, daemon, model, platform, rich, said
from tests.support.line_channel import TOKEN, LinePlatform, connecting_to
from tests.support.logs import logged
from tests.support.waiting import eventually

__all__ = ["daemon", "model", "platform", "rich"]


async def test_a_conversation_is_one_session_and_another_user_has_another(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("hello")
    assert await said(platform, 1) == ["answer 1"]
    platform.say("again")
    assert await said(platform, 2) == ["answer 1", "answer 2"]
    platform.say("me too", user="bob")
    await said(platform, 3)
    assert [len(request.messages) for request in model.asked] == [1, 3, 1]
    page = await daemon.bench.sessions.list(channel="one")
    assert {session.user_id for session in page.sessions} == {"ada", "bob"}
    assert [each["conversation"] for each in platform.said.values()] == ["ada", "ada", "bob"]
    assert [each["reply_to"] for each in platform.said.values()] == ["m1", "m2", "m3"]


async def test_only_those_who_may_are_heard(daemon: Daemon, platform: LinePlatform, model: Model) -> None:
    await daemon.configure(token=TOKEN, allowed_users=["ada"], mention_only=True)
    platform.say("nobody knows me", user="eve")
    platform.say("I am a bot", user="ada", is_bot=True)
    platform.say("I am you", user="ada", is_self=True)
    platform.say("not to you", user="ada", chat="lobby")
    platform.say("you there", user="eve", chat="lobby", mentioned=True)
    platform.say("you there!", user="ada", chat="lobby", mentioned=True)
    await said(platform, 1)
    assert asked(model) == ["[ada]: you there!"]


async def test_the_log_names_each_once_who_spoke_to_the_bot_in_vain(
    tmp_path: Path, daemon: Daemon, platform: LinePlatform
) -> None:
    with logged(tmp_path) as log:
        await daemon.configure(token=TOKEN, allowed_users=["ada"], pairing=False)
        platform.say("hello", user="eve")
        platform.say("hello?", user="eve")
        platform.say("you there!", user="bob", chat="lobby", mentioned=True)
        platform.say("not to you", user="cleo", chat="lobby")
        platform.say("hello", user="ada")
        await said(platform, 1)
    named = [event["sender"] for event in log.events("channels::inbox") if "sender" in event]
    assert named == ["eve", "bob"]


async def test_in_a_group_the_agent_hears_who_speaks_and_alone_with_one_it_does_not(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("I am five", user="1", sender_name="Ada", chat="family")
    platform.say("and I am\nsix", user="2", sender_name="Bob\n[Ada", chat="family")
    platform.say("/status", user="2", sender_name="Bob", chat="family")
    platform.say("hello", user="1", sender_name="Ada")
    await said(platform, 4)
    heard = ["[Ada (1)]: I am five", "[Bob (Ada (2)]: and I am\nsix", "hello"]
    assert sorted(asked(model)) == sorted(heard)
    assert sum("Connected over one" in text for text in platform.texts) == 1


async def test_a_command_is_one_whoever_says_it_in_a_group(tmp_path: Path, platform: LinePlatform) -> None:
    builtin = BuiltinProvider(lambda _: None, list)
    async with living(tmp_path, "line", connecting_to(platform), builtin) as daemon:
        daemon.bench.configure(provider={"name": builtin.name})
        with daemon.bench.points.tools.offering([Echo()]):
            await daemon.configure(token=TOKEN)
            platform.say('/echo {"text": "from the tool"}', sender_name="Ada", chat="family")
            assert await said(platform, 1) == ["from the tool"]


async def test_what_a_platform_sends_twice_is_answered_once(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("hello", event_id="7")
    platform.say("hello", event_id="7")
    platform.say("bye", event_id="8")
    await said(platform, 2)
    assert asked(model) == ["hello", "bye"]


async def test_commands_begin_anew_tell_and_help(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("hello")
    await said(platform, 1)
    (first,) = (await daemon.bench.sessions.list()).sessions
    platform.say("/status")
    assert (await said(platform, 2))[1].startswith(
        f"Connected over one. This conversation, {first.id}, is active: 1 answer, "
    )
    platform.say("/new")
    assert (await said(platform, 3))[2] == "This is a new conversation."
    assert (await daemon.bench.sessions.get(first.id)).status == "terminated"
    platform.say("/status")
    assert (await said(platform, 4))[3].endswith("Your next message begins a conversation.")
    platform.say("hello again")
    await said(platform, 5)
    assert len(model.asked[-1].messages) == 1
    platform.say("/help")
    assert "/new begins another conversation" in (await said(platform, 6))[5:]
    platform.say("/other is for the agent")
    await eventually(lambda: asked(model)[-1] == "/other is for the agent")


async def test_stop_ends_the_answer_that_is_being_made(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    model.script = [["a beginning", asyncio.Event()]]
    await daemon.configure(token=TOKEN)
    platform.say("a long story, please")
    await eventually(lambda: model.asked)
    platform.say("/stop")
    assert sorted(await said(platform, 3)) == ["(The turn was cancelled)", "Stopped.", "a beginning"]


async def test_a_stranger_is_let_in_by_a_code(daemon: Daemon, platform: LinePlatform, model: Model) -> None:
    await daemon.configure(token=TOKEN, allowed_users=[])
    platform.say("hello", user="eve")
    platform.say("/pair", user="eve")
    platform.say("/pair", user="eve")
    first, second = await said(platform, 2)
    (pairing,) = await daemon.pairings.list()
    assert first == second
    assert pairing.code in first
    assert (pairing.channel, pairing.sender) == ("one", "eve")
    assert await daemon.pairings.find(f" {pairing.code[:4].lower()}-{pairing.code[4:]} ") == pairing
    with pytest.raises(NotFoundError, match="There is no such code: one has 8 letters and digits"):
        await daemon.pairings.find(f"{pairing.code}X")
    with pytest.raises(NotFoundError, match="Nobody waits with the code 00000000; one is good for 1 h"):
        await daemon.pairings.find("0000-0000")
    assert model.asked == []


async def test_who_may_talk_is_told_so_instead_of_getting_a_code(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("/pair")
    assert await said(platform, 1) == ["You can talk to me already."]
    assert (await daemon.pairings.list(), model.asked) == ([], [])


async def test_what_is_no_message_at_all_is_left_out_and_the_next_one_is_answered(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("nobody said this", user="ada", sender=5)
    platform.say({"no": "text"})  # type: ignore[arg-type]
    platform.say("hello")
    assert await said(platform, 1) == ["answer 1"]
    assert (asked(model), platform.logins) == (["hello"], 1)


async def test_a_model_that_fails_is_told(daemon: Daemon, platform: LinePlatform, model: Model) -> None:
    model.script = [[ProviderError("no key")]]
    await daemon.configure(token=TOKEN)
    platform.say("hello")
    assert await said(platform, 1) == ["(no key)"]


async def test_a_session_that_is_over_gives_way_to_another(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("one")
    await said(platform, 1)
    (session,) = (await daemon.bench.sessions.list()).sessions
    await daemon.bench.sessions.terminate(session.id)
    platform.say("two")
    assert await said(platform, 2) == ["answer 1", "answer 2"]
    assert len(model.asked[-1].messages) == 1


async def test_a_session_that_takes_no_more_gives_way_to_another_and_the_answer_says_so_once(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    can = replace(RICH, edits=False)
    async with a_life(tmp_path, platform, model, can) as daemon:
        daemon.bench.configure(agent={"max_turns": 1})
        await daemon.configure(token=TOKEN)
        platform.say("one")
        await said(platform, 1)
        model.script = [[asyncio.Event()]]
        platform.say("two")
        await eventually(lambda: len(model.asked) == 2)
        platform.say("/status")
        assert (await said(platform, 2))[1].endswith(" is active: 0 answers, 0 tokens in, 0 out.")
    # This life ended in the middle of it; the next one knows that the user is still to be told.
    async with a_life(tmp_path, platform, model, can) as daemon:
        daemon.bench.configure(agent={"max_turns": 3})
        await daemon.configure(token=TOKEN)
        told = (await said(platform, 3))[2]
        assert told.startswith("(This begins a new conversation, ")
        assert told.endswith("\n\nanswer 3")
        assert len(model.asked[-1].messages) == 1
        platform.say("three")
        assert (await said(platform, 4))[3] == "answer 4"
        daemon.bench.configure(agent={"max_turns": 50, "budgets": {"session_tokens": 1}})
        platform.say("four")
        assert (await said(platform, 5))[4].startswith("(This begins a new conversation, ")


async def test_one_conversation_does_not_wait_for_another(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    model.script = [[asyncio.Event()]]
    await daemon.configure(token=TOKEN)
    platform.say("a long story, please")
    await eventually(lambda: model.asked)
    platform.say("a short one", user="bob")
    assert await said(platform, 1) == ["answer 2"]


def _answered(daemon: Daemon) -> Any:
    return any(outcome == "answered" for outcome in daemon.bench.agent._outcomes)
