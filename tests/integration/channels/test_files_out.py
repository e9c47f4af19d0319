"""What a tool of a real MCP server gives back as a file, on its way to the chat in which the agent was asked."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prx.core.channel import Capabilities
from prx.runtime.backoff import Backoff
from tests.components.corpus import component
from tests.support.agents import Model, Tool, calling, saying, transcript
from tests.support.channel_daemon import Daemon, living
from tests.support.line_channel import PLAIN, TOKEN, LinePlatform, connecting_to, line_platform
from tests.support.mcp_host import mcp_host, scripted
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually

CAN = replace(PLAIN, multiline=True, max_file_bytes=1000)
GIVING = "mcp__files__giving"


def image(content: bytes = b"a picture", media_type: str = "image/png") -> dict[str, str]:
    return {"type": "image", "data": base64.b64encode(content).decode(), "mimeType": media_type}


def drawing(*blocks: dict[str, Any], text: str = "here it is") -> Model:
    """Return a model that has the server give back `blocks`, and then says `text`."""
    return Model(calling((GIVING, json.dumps({"content": blocks}))), saying(text))


@pytest.fixture
async def platform() -> AsyncIterator[LinePlatform]:
    async with line_platform() as platform:
        yield platform


@asynccontextmanager
async def a_life(
    directory: Path, platform: LinePlatform, model: Model, can: Capabilities = CAN
) -> AsyncIterator[Daemon]:
    async with living(directory, "line", connecting_to(platform, can), model) as daemon:
        home = directory / "mcp"
        home.mkdir(exist_ok=True)
        async with mcp_host(home, {"files": scripted()}, router=daemon.bench.points.tools) as host:
            await host.until("connected", "files")
            yield daemon


def said(platform: LinePlatform) -> list[tuple[str, dict[str, bytes]]]:
    """Return what the bot said, as it stands now, each message with its files."""
    return [
        (each["text"], {name: base64.b64decode(content) for name, content in each["files"].items()})
        for each in platform.said.values()
    ]


async def done(daemon: Daemon) -> None:
    await eventually(lambda: not daemon.inbox._lanes)


async def test_a_picture_goes_out_behind_the_answer(tmp_path: Path, platform: LinePlatform) -> None:
    model = drawing({"type": "text", "text": "drawn"}, image())
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("draw", thread="t")
        await eventually(lambda: len(platform.said) == 2)
        await done(daemon)
        (session,) = (await daemon.bench.sessions.list()).sessions
        # What is told of a session does not grow by it.
        assert await transcript(daemon.bench, session.id) == [("user", "draw"), ("assistant", "here it is")]
    assert said(platform) == [("here it is", {}), ("", {"image.png": b"a picture"})]
    text, file = platform.said.values()
    assert (file["thread"], file["reply_to"], text["reply_to"]) == ("t", None, "m1")
    assert model.asked[1].messages[-1].content == "drawn\n[image image/png]"


async def test_a_file_that_a_plugin_returns_goes_out_and_the_model_hears_its_name(
    tmp_path: Path, platform: LinePlatform
) -> None:
    host = PluginHost(tmp_path / "plugins", tmp_path / "data", store=tmp_path / "plugins.db")
    host.directory.mkdir()
    host.drop("drawing", component("drawing"))
    model = Model(calling(("draw", "{}")), saying("here it is"))
    async with host.running():
        await host.until("drawing", "loaded")
        async with living(tmp_path, "line", connecting_to(platform, CAN), model) as daemon:
            draw = Tool("draw", lambda arguments, _: host.call("draw", arguments))
            with daemon.bench.points.tools.offering([draw]):
                await daemon.configure(token=TOKEN)
                platform.say("draw")
                await eventually(lambda: len(platform.said) == 2)
                await done(daemon)
    assert said(platform) == [("here it is", {}), ("", {"point.png": b"\x89PNG\x00\xff"})]
    told = json.loads(model.asked[1].messages[-1].content)
    assert told["plot"]["content"] == "[file point.png (image/png)]"
    assert told["summary"] == "a red point"


async def test_an_answer_that_grew_in_a_draft_gets_its_file_all_the_same(
    tmp_path: Path, platform: LinePlatform
) -> None:
    long = "word " * 1000
    async with a_life(
        tmp_path, platform, drawing(image(), text=long), replace(CAN, edits=True, max_file_bytes=10_000)
    ) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("draw")
        await eventually(lambda: len(platform.said) == 3)
        await done(daemon)
    (_, draft), (_, whole), (_, file) = said(platform)
    assert (draft, whole, file) == ({}, {"answer.md": long.encode()}, {"image.png": b"a picture"})


async def test_where_text_and_files_are_one_message_they_go_out_as_one(
    tmp_path: Path, platform: LinePlatform
) -> None:
    model = drawing(image(), image(b"another"))
    async with a_life(tmp_path, platform, model, replace(CAN, attaches=True)) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("draw")
        await eventually(lambda: platform.said)
        await done(daemon)
    assert said(platform) == [("here it is", {"image.png": b"a picture", "image-2.png": b"another"})]


async def test_what_is_too_large_for_a_platform_or_an_answer_is_named_in_the_text_once(
    tmp_path: Path, platform: LinePlatform
) -> None:
    wrong = {"type": "audio", "data": "%", "mimeType": "audio/wav"}
    model = drawing(image(b"x" * 1001), wrong, image(b"y", "image/gif"))
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("draw")
        await eventually(lambda: len(platform.said) == 2)
        await done(daemon)
    text = (
        "here it is\n\n"
        "[not sent: audio.wav (audio/wav): what the tool gave is no base64]\n\n"
        "[image.png (image/png) was not sent: this channel takes files of 1000 bytes at most]"
    )
    assert said(platform) == [(text, {}), ("", {"image.gif": b"y"})]


async def test_a_platform_without_files_is_told_what_there_was(
    tmp_path: Path, platform: LinePlatform
) -> None:
    async with a_life(tmp_path, platform, drawing(image(), text=""), PLAIN) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("draw")
        await eventually(lambda: platform.said)
        await done(daemon)
    assert said(platform) == [("[image.png (image/png) was not sent: this channel takes no files]", {})]


@pytest.mark.parametrize(
    ("can", "before", "text"),
    [(CAN, [{"id": "t1"}], ""), (replace(CAN, attaches=True), [], "here it is\n\n")],
)
async def test_a_file_that_the_platform_refuses_is_named_in_its_place(
    tmp_path: Path, platform: LinePlatform, can: Capabilities, before: list[dict[str, Any]], text: str
) -> None:
    async with a_life(tmp_path, platform, drawing(image()), can) as daemon:
        await daemon.configure(token=TOKEN)
        platform.refusals.extend([*before, {"refused": "gone"}])
        platform.say("draw")
        await eventually(lambda: platform.said)
        await done(daemon)
    assert said(platform)[-1] == (f"{text}[image.png (image/png) was not sent: there is no such chat]", {})


async def test_a_file_that_fails_again_and_again_holds_nothing_up_for_ever(
    tmp_path: Path, platform: LinePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is tried often before it is given up: the pauses between are only paid.
    monkeypatch.setattr("prx.channels.outlet.Backoff", lambda: Backoff(0.001, 0.001))
    async with a_life(tmp_path, platform, drawing(image())) as daemon:
        await daemon.configure(token=TOKEN)
        # A text is tried for as long as it takes.
        platform.refusals.extend([{"refused": "busy"}] * 10 + [{"id": "t1"}] + [{"refused": "busy"}] * 8)
        platform.say("draw")
        await eventually(lambda: platform.said)
        await done(daemon)
    assert said(platform) == [("[image.png (image/png) was not sent: busy]", {})]


async def test_the_next_life_sends_the_files_that_the_last_one_did_not(
    tmp_path: Path, platform: LinePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The platform takes nothing: how long a stop lets it try is only paid.
    monkeypatch.setattr("prx.channels.outlet._LAST_SECS", 0.05)
    model = drawing(image(b"one"), image(b"two"), image(b"three"))
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        # The text and the first file are taken; from the second on the platform wants to be left alone.
        platform.refusals.extend([{"id": "t1"}, {"id": "f1"}, *[{"refused": "wait", "secs": 600}] * 2])
        platform.say("draw")
        await eventually(lambda: len(platform.requests) == 3)
    tried = [next(iter(each["files"]), each["text"]) for _, each in platform.requests]
    assert tried == ["here it is", "image.png", "image-2.png"]
    platform.refusals.clear()
    async with living(tmp_path, "line", connecting_to(platform, CAN), model) as daemon:
        await daemon.configure(token=TOKEN)
        await eventually(lambda: len(platform.said) == 2)
        await done(daemon)
        left = await daemon.store.run(lambda db: db.execute("SELECT count(*) FROM channel_files").fetchone())
    assert said(platform) == [("", {"image-2.png": b"two"}), ("", {"image-3.png": b"three"})]
    assert left == (0,)
    assert len(model.asked) == 2


async def test_what_middleware_blocks_brings_no_file_and_what_a_failed_tool_says_is_none(
    tmp_path: Path, platform: LinePlatform
) -> None:
    failing = json.dumps({"content": [image()], "isError": True})
    model = Model(
        calling((GIVING, failing)), saying("no"), calling((GIVING, json.dumps({"content": [image()]}))), []
    )
    async with a_life(tmp_path, platform, model) as daemon:
        await daemon.configure(token=TOKEN)
        platform.say("draw")
        await eventually(lambda: len(platform.said) == 1)
        platform.say("again")
        await eventually(lambda: len(platform.said) == 2)
        await done(daemon)
    assert said(platform) == [("no", {}), ('(provider "script" ended without an answer)', {})]
