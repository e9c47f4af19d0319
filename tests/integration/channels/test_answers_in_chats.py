"""How an answer comes about in a chat: drafts, markup, parts, files, and what a platform makes of them."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.agents import Model, saying
from tests.support.channel_daemon import Daemon
from tests.support.conversations import RICH, a_life, asked, daemon, model, platform, rich, said
from tests.support.line_channel import TOKEN, LinePlatform
from tests.support.waiting import eventually

__all__ = ["daemon", "model", "platform", "rich"]


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


def _answered(daemon: Daemon) -> Any:
    return any(outcome == "answered" for outcome in daemon.bench.agent._outcomes)
