"""From a message on a platform to the answer there: sessions, commands, drafts, pace, and lives that end in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prx.agent.providers.builtin import BuiltinProvider
from prx.core.channel import Capabilities
from prx.core.errors import NotFoundError
from prx.core.provider import ProviderError
from tests.support.agents import Model, calling, saying
from tests.support.channel_daemon import Daemon, living
from tests.support.channel_kit import Echo
from tests.support.line_channel import PLAIN, TOKEN, LinePlatform, connecting_to, line_platform
from tests.support.logs import logged
from tests.support.waiting import eventually

RICH = replace(
    PLAIN,
    max_length=200,
    unit="chars",
    multiline=True,
    markup="telegram",
    edits=True,
    typing_secs=60,
    max_file_bytes=100_000,
    max_download_bytes=1000,
)


@pytest.fixture
async def platform() -> AsyncIterator[LinePlatform]:
    async with line_platform() as platform:
        yield platform


@pytest.fixture
def model() -> Model:
    return Model()


def a_life(
    directory: Path, platform: LinePlatform, model: Model, can: Capabilities = PLAIN
) -> AbstractAsyncContextManager[Daemon]:
    return living(directory, "line", connecting_to(platform, can), model)


@pytest.fixture
async def daemon(tmp_path: Path, platform: LinePlatform, model: Model) -> AsyncIterator[Daemon]:
    async with a_life(tmp_path, platform, model) as daemon:
        yield daemon


@pytest.fixture
async def rich(tmp_path: Path, platform: LinePlatform, model: Model) -> AsyncIterator[Daemon]:
    async with a_life(tmp_path, platform, model, RICH) as daemon:
        yield daemon


async def said(platform: LinePlatform, count: int) -> list[str]:
    """Return what the bot said, once it is so much."""
    await eventually(lambda: len(platform.texts) >= count)
    return platform.texts


def asked(model: Model) -> list[str]:
    return [request.messages[-1].content for request in model.asked]


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


async def test_an_answer_grows_in_one_message_and_ends_in_the_markup_of_the_platform(
    rich: Daemon, platform: LinePlatform, model: Model
) -> None:
    going = asyncio.Event()
    model.script = [["It is ", going, *saying("It is **cold**")]]
    await rich.configure(token=TOKEN)
    platform.say("how is it?")
    assert await said(platform, 1) == ["It is "]
    going.set()
    await eventually(lambda: platform.texts == ["It is **cold**"])
    assert [each["formatted"] for each in platform.said.values()] == ["It is <b>cold</b>"]
    verbs = [verb for verb, _ in platform.requests]
    assert (verbs.count("SAY"), verbs.count("TYPE")) == (1, 1)


async def test_half_of_a_character_ends_neither_the_channel_nor_an_answer(
    rich: Daemon, platform: LinePlatform, model: Model
) -> None:
    """JSON may hold it: a platform's, and that of a model whose answer is cut between the halves."""
    going = asyncio.Event()
    model.script = [["cold \ud83e", going, *saying("cold \ud83e\uddca")]]
    await rich.configure(token=TOKEN)
    platform.say("how \ud83e is it?", sender_name="\ud83e")
    assert await said(platform, 1) == ["cold \ufffd"]
    going.set()
    await eventually(lambda: platform.texts == ["cold \N{ICE CUBE}"])
    assert asked(model) == ["how \ufffd is it?"]
    assert platform.logins == 1


async def test_what_is_no_message_at_all_is_left_out_and_the_next_one_is_answered(
    daemon: Daemon, platform: LinePlatform, model: Model
) -> None:
    await daemon.configure(token=TOKEN)
    platform.say("nobody said this", user="ada", sender=5)
    platform.say({"no": "text"})  # type: ignore[arg-type]
    platform.say("hello")
    assert await said(platform, 1) == ["answer 1"]
    assert (asked(model), platform.logins) == (["hello"], 1)


async def test_a_text_that_escapes_make_longer_than_a_message_comes_in_more_of_them(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    text = "\n".join(f"{number} < {number + 1} && true" for number in range(15))
    model.script = [[text[:200], *saying(text)]]
    can = replace(RICH, max_length=400, max_formatted_length=450)
    async with a_life(tmp_path, platform, model, can) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("compare")
        await eventually(lambda: "\n".join(platform.texts) == text)
        sizes = [len(each["formatted"]) for _, each in platform.requests if "formatted" in each]
        assert max(sizes) <= 450


async def test_a_draft_that_says_the_whole_answer_is_not_changed_to_say_it_again(
    rich: Daemon, platform: LinePlatform, model: Model
) -> None:
    going = asyncio.Event()
    model.script = [["It is **cold**", going, *saying("It is **cold**")]]
    await rich.configure(token=TOKEN)
    platform.say("how is it?")
    assert await said(platform, 1) == ["It is **cold**"]
    going.set()
    await eventually(lambda: _answered(rich) and not rich.inbox._lanes)
    assert [verb for verb, _ in platform.requests if verb in ("SAY", "EDIT")] == ["SAY"]


async def test_a_draft_that_is_being_sent_when_the_answer_is_whole_becomes_it(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    """It is on its way: given up, it would stand there beside the answer."""
    going = asyncio.Event()
    model.script = [["It is ", going, *saying("It is cold")]]
    async with a_life(tmp_path, platform, model, replace(RICH, typing_secs=None)) as daemon:
        await daemon.configure(token=TOKEN)
        platform.answers.clear()
        platform.say("how is it?")
        await eventually(lambda: platform.held == 1)
        going.set()
        await eventually(lambda: _answered(daemon))
        platform.answers.set()
        await eventually(lambda: "It is cold" in platform.texts)
        assert platform.texts == ["It is cold"]


async def test_an_answer_that_was_whole_when_the_daemon_stopped_is_what_its_next_life_says(
    tmp_path: Path, platform: LinePlatform, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tools had acted: it is not asked for again, and was not cut off either."""
    # The platform takes nothing: how long a stop lets it try is only paid.
    monkeypatch.setattr("prx.channels.outlet._LAST_SECS", 0.05)
    model.script = [calling(("nothing", "{}")), saying("done")]
    async with a_life(tmp_path, platform, model, replace(RICH, typing_secs=None)) as daemon:
        await daemon.configure(token=TOKEN)
        platform.answers.clear()
        platform.say("act")
        await eventually(lambda: platform.held == 1)  # a draft, or the whole
        await eventually(lambda: _answered(daemon))
        await daemon.bench.agent.drain(1)
    said_before = len(platform.texts)
    platform.answers.set()
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        await eventually(lambda: len(platform.texts) > said_before and platform.texts[-1] == "done")
    assert not any("had begun to act" in text for text in platform.texts)
    assert len(model.asked) == 2


async def test_without_streaming_there_is_only_the_whole(rich: Daemon, platform: LinePlatform) -> None:
    await rich.configure(token=TOKEN, stream_mode="off")
    platform.say("how is it?")
    await said(platform, 1)
    assert [verb for verb, _ in platform.requests if verb != "TYPE"] == ["SAY"]


async def test_a_platform_that_wants_it_slower_is_obeyed_and_hears_the_whole(
    rich: Daemon, platform: LinePlatform
) -> None:
    await rich.configure(token=TOKEN, stream_mode="off")
    platform.refusals.append({"refused": "wait", "secs": 0.2})
    platform.say("how is it?")
    began = asyncio.get_running_loop().time()
    assert await said(platform, 1) == ["answer 1"]
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_text_whose_markup_is_refused_is_sent_as_it_is(
    rich: Daemon, platform: LinePlatform, model: Model
) -> None:
    model.script = [saying("**bold**")]
    await rich.configure(token=TOKEN, stream_mode="off")
    platform.refusals.append({"refused": "markup"})
    platform.say("how is it?")
    assert await said(platform, 1) == ["**bold**"]
    assert [each["formatted"] for each in platform.said.values()] == [None]


async def test_where_nothing_can_be_delivered_the_next_message_is_answered_all_the_same(
    daemon: Daemon, platform: LinePlatform
) -> None:
    await daemon.configure(token=TOKEN)
    platform.refusals.append({"refused": "gone"})
    platform.say("one")
    platform.say("two")
    assert await said(platform, 1) == ["answer 2"]


async def test_an_answer_whose_receipt_cannot_be_understood_is_not_said_again(
    daemon: Daemon, platform: LinePlatform
) -> None:
    await daemon.configure(token=TOKEN)
    platform.refusals.append({"no": "id"})
    platform.say("one")
    platform.say("two")
    assert await said(platform, 1) == ["answer 2"]
    assert [verb for verb, _ in platform.requests] == ["SAY", "SAY"]
    assert platform.logins == 1


async def test_a_long_answer_comes_in_parts_and_a_very_long_one_as_a_file(
    rich: Daemon, platform: LinePlatform, model: Model
) -> None:
    model.script = [saying("word " * 100), saying("word " * 1000)]
    await rich.configure(token=TOKEN, stream_mode="off")
    platform.say("long")
    texts = await said(platform, 3)
    assert " ".join(texts).split() == ["word"] * 100
    assert [each["reply_to"] for each in platform.said.values()] == ["m1", None, None]
    platform.say("longer")
    await said(platform, 5)
    (files,) = [each["files"] for each in platform.said.values() if each["files"]]
    assert list(files) == ["answer.md"]


async def test_files_that_are_text_are_read_and_others_are_named(
    rich: Daemon, platform: LinePlatform, model: Model
) -> None:
    platform.files = {"a": b"x = 1", "b": b"y" * 2000}
    await rich.configure(token=TOKEN)
    platform.say(
        "look",
        attachments=[
            {"id": "a", "name": "a.py", "media_type": "text/x-python", "size": 5},
            {"id": "b", "name": "b.txt", "media_type": "text/plain"},
            {"id": "c", "name": "c\n]: /.png", "media_type": "image/png", "size": 9},
        ],
    )
    await said(platform, 1)
    (content,) = asked(model)
    assert content == (
        "look\n\n[file a.py (text/x-python, 5 bytes)]\n```\nx = 1\n```\n\n"
        "[file b.txt (text/plain), not read: b.txt has 2000 bytes]\n\n"
        "[file c ] .png (image/png, 9 bytes), not read: it is no text]"
    )


async def test_a_model_that_fails_is_told(daemon: Daemon, platform: LinePlatform, model: Model) -> None:
    model.script = [[ProviderError("no key")]]
    await daemon.configure(token=TOKEN)
    platform.say("hello")
    assert await said(platform, 1) == ["(no key)"]


async def test_a_conversation_goes_on_after_a_restart_and_what_came_meanwhile_is_answered_once(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("one")
        await said(platform, 1)
    platform.say("two")
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("three")
        await said(platform, 3)
    assert asked(model) == ["one", "two", "three"]
    assert [len(request.messages) for request in model.asked] == [1, 3, 5]


async def test_an_answer_that_a_life_could_not_deliver_is_delivered_by_the_next(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    going = asyncio.Event()
    model.script = [[going, *saying("at last")]]
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("hello")
        await eventually(lambda: model.asked)
        await daemon.disconnect()
        going.set()
        await eventually(lambda: _answered(daemon))
    assert platform.texts == []
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        assert await said(platform, 1) == ["at last"]
    assert asked(model) == ["hello"]


async def test_what_was_said_without_a_life_hearing_of_it_is_not_said_again_by_the_next(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    """Each part has a key that stays, and the platform knows by it what it has."""
    can = replace(RICH, edits=False)
    model.script = [saying("word " * 100)]
    platform.losses = 1
    async with a_life(tmp_path, platform, model, can) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("long")
        await eventually(lambda: platform.losses == 0)
    assert len(platform.texts) == 1
    async with a_life(tmp_path, platform, model, can) as daemon:
        await daemon.configure(token=TOKEN)
        await said(platform, 3)
        await eventually(lambda: not daemon.inbox._lanes)
    assert " ".join(platform.texts).split() == ["word"] * 100
    assert [verb for verb, _ in platform.requests if verb == "SAY"] == ["SAY"] * 4


async def test_a_draft_that_was_shown_without_the_daemon_hearing_of_it_becomes_the_answer(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    """And the answer is no repeat of the draft: it has another key."""
    going = asyncio.Event()
    model.script = [["It is ", going, *saying("It is cold")]]
    platform.losses = 1
    async with a_life(tmp_path, platform, model, replace(RICH, typing_secs=None)) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("how is it?")
        await eventually(lambda: platform.losses == 0)
    assert platform.texts == ["It is "]
    connected = asyncio.Event()
    model.script = [[connected, "It is ", going, *saying("It is cold")]]
    async with a_life(tmp_path, platform, model, replace(RICH, typing_secs=None)) as daemon:
        await daemon.configure(token=TOKEN)
        connected.set()
        await eventually(lambda: [verb for verb, _ in platform.requests].count("SAY") == 2)
        going.set()
        await eventually(lambda: platform.texts == ["It is cold"])


async def test_a_turn_that_a_life_did_not_end_is_had_by_the_next(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    model.script = [[asyncio.Event()]]
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("hello")
        await eventually(lambda: model.asked)
    assert platform.texts == []
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        assert await said(platform, 1) == ["answer 2"]
    assert asked(model) == ["hello", "hello"]


async def test_a_turn_that_had_called_a_tool_is_not_had_again_by_the_next_life(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    model.script = [calling(("no_such_tool", "{}")), [asyncio.Event()]]
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("act")
        await eventually(lambda: len(model.asked) == 2)
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        (told,) = await said(platform, 1)
        assert told.startswith("The daemon was stopped while this was being answered, and had begun to act.")
    assert len(model.asked) == 2


async def test_that_a_tool_was_called_is_known_to_the_next_life_although_the_draft_was_not_to_grow_yet(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    model.script = [["let me see", *calling(("no_such_tool", "{}"))], [asyncio.Event()]]
    async with a_life(tmp_path, platform, model, RICH) as daemon:
        await daemon.configure(token=TOKEN, draft_update_interval_ms=60_000)
        platform.say("act")
        assert await said(platform, 1) == ["let me see"]
        await eventually(lambda: len(model.asked) == 2)
    async with a_life(tmp_path, platform, model, RICH) as daemon:
        await daemon.configure(token=TOKEN)
        await eventually(lambda: "had begun to act" in platform.texts[-1])
    assert len(model.asked) == 2


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


async def test_the_last_message_is_known_after_a_restart(
    tmp_path: Path, platform: LinePlatform, model: Model
) -> None:
    async with a_life(tmp_path, platform, model) as daemon:
        assert await daemon.inbox.last_message_at("one") is None
        await daemon.configure(token=TOKEN)
        platform.say("one")
        await said(platform, 1)
        at = await daemon.inbox.last_message_at("one")
    async with a_life(tmp_path, platform, model) as daemon:
        assert at is not None
        assert await daemon.inbox.last_message_at("one") == at


def _answered(daemon: Daemon) -> Any:
    return any(outcome == "answered" for outcome in daemon.bench.agent._outcomes)
