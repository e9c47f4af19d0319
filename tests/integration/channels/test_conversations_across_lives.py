"""A daemon that ends in the middle of a conversation: its next life goes on where it was."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import Model, calling, saying
from tests.support.channel_daemon import Daemon
from tests.support.conversations import RICH, a_life, asked, daemon, model, platform, rich, said
from tests.support.line_channel import TOKEN, LinePlatform
from tests.support.waiting import eventually

__all__ = ["daemon", "model", "platform", "rich"]


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
