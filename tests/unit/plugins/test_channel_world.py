"""The channel world: what a component may say of its platform, and what becomes of its messages and errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.config.channels import ChannelConfig
from prx.core.channel import Attachment, HttpReceiver, OutgoingMessage, PushedRequest
from prx.core.channel_errors import (
    AccountInUseError,
    AuthenticationError,
    FileTooLargeError,
    MarkupRefusedError,
    ThrottledError,
    UndeliverableError,
)
from prx.core.errors import BadRequestError, ConflictError, PermanentError, PrxError, UnavailableError
from prx.core.file import File
from prx.core.tool import CallContext, ToolFailure, ToolResult
from prx.plugins.calls import Limits
from prx.plugins.errors import LoadError
from prx.plugins.inspect import Function
from prx.plugins.worlds.binding import Binding
from prx.plugins.worlds.channel import SIGNATURES, Platform, incoming, outgoing, platform
from prx.plugins.worlds.channel_adapter import PluginChannel, PluginChannels
from tests.support.wit_types import json_values

ABOUT: dict[str, Any] = {
    "max_length": 2000,
    "unit": "utf16",
    "multiline": True,
    "markup": "telegram",
    "edits": True,
    "threads": True,
    "typing_ms": 10,
    "pace_ms": 100_000,
    "poll_interval_ms": 1,
    "receives": True,
    "max_file_bytes": 2**32 - 1,
    "max_download_bytes": 2**32 - 1,
}
FUNCTIONS = {
    name: signature.bind(Function("prx:plugin/channel-exports@0.2.0", name, signature.type))
    for name, signature in SIGNATURES.items()
}
OUTGOING = OutgoingMessage(conversation="ada", text="hi")
PUSHED = PushedRequest(method="POST", path="", query=[], headers={}, body=b"")


def said(**about: Any) -> Platform:
    return platform("relay", FUNCTIONS, ABOUT | about, Limits())


class Answering:
    """A guest that answers each call with what the world's function would give back."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    async def call(self, binding: Binding, arguments: Any, _context: CallContext) -> ToolResult:
        self.asked.append(arguments)
        if isinstance(self.answer, PrxError):
            raise self.answer
        if isinstance(self.answer, ToolFailure):
            return ToolResult(None, self.answer)
        return ToolResult(*binding.outcome(self.answer))


class Context:
    """A channel's context that keeps nothing, for as long as a platform only pushes."""

    def __init__(self) -> None:
        self.is_connected = asyncio.Event()

    async def load_cursor(self) -> None:
        return None

    async def save_cursor(self, _cursor: str) -> None:
        raise AssertionError("a platform that only pushes has no cursor")

    def connected(self) -> None:
        self.is_connected.set()

    def alive(self) -> None:
        pass

    async def receive(self, _message: Any) -> None:
        raise AssertionError("nothing was said")


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[HttpReceiver, Answering]]:
    guest = Answering({"ok": None})
    adapter = PluginChannels("p", guest, said(poll_interval_ms=None)).connect("one", ChannelConfig())
    assert isinstance(adapter, HttpReceiver)
    context = Context()
    life = asyncio.create_task(adapter.run(context))
    try:
        await context.is_connected.wait()
        yield adapter, guest
    finally:
        life.cancel()
        await asyncio.wait({life})


def channel(answer: Any, **about: Any) -> PluginChannel:
    return PluginChannels("p", Answering(answer), said(**about)).connect("one", ChannelConfig())


def test_what_would_hurt_the_host_is_bounded() -> None:
    made = said()
    assert (made.can.typing_secs, made.can.pace_secs, made.interval_secs, made.wait_secs) == (1, 60, 0.1, 2.5)
    assert (made.can.unit, made.can.markup, made.can.threads) == ("utf16", "telegram", True)
    assert (made.can.max_file_bytes, made.can.max_download_bytes) == (1 << 20, (1 << 20) - 1024)
    about = ABOUT | {"poll_interval_ms": 3_600_000, "typing_ms": None}
    slow = platform("relay", FUNCTIONS, about, Limits(max_execution_secs=600.0, max_output_bytes=1000))
    assert (slow.interval_secs, slow.wait_secs, slow.can.typing_secs) == (5, 5, None)
    assert slow.can.max_download_bytes == 0


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"max_length": 63}, "a max-length of 63: texts of 64 are the least"),
        ({"poll_interval_ms": None, "receives": False}, "neither polls nor receives"),
    ],
)
def test_a_platform_that_could_carry_nothing_is_refused(about: dict[str, Any], reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        said(**about)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("authentication", AuthenticationError),
        ("account_in_use", AccountInUseError),
        ("markup_refused", MarkupRefusedError),
        ("undeliverable", UndeliverableError),
        ("permanent", PermanentError),
        ("unavailable", UnavailableError),
    ],
)
async def test_each_error_of_the_world_is_one_of_the_contract(case: str, kind: type[PrxError]) -> None:
    with pytest.raises(kind, match="because") as raised:
        await channel({"err": {case: "because"}}).send(OUTGOING)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ToolFailure("trap", "the guest trapped"), r'plugin "p" failed \(trap\) in send: the guest trapped'),
        (ConflictError('plugin "p" is in quarantine'), "is in quarantine"),
        ({"err": {"unavailable": ""}}, "the plugin failed and gave no reason"),
    ],
)
async def test_a_plugin_that_cannot_answer_may_be_able_to_later(answer: Any, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason):
        await channel(answer).send(OUTGOING)


async def test_what_a_plugin_cannot_be_given_is_undeliverable() -> None:
    with pytest.raises(UndeliverableError, match='plugin "p": the text is too large'):
        await channel(BadRequestError("the text is too large")).send(OUTGOING)


async def test_a_file_is_fetched_and_has_no_more_bytes_than_asked_for() -> None:
    cat = Attachment(id="1", name="cat")
    assert await channel({"ok": b"meow"}).fetch(cat, 4) == b"meow"
    with pytest.raises(FileTooLargeError, match='"cat" has 5 bytes, more than 4'):
        await channel({"ok": b"meow!"}).fetch(cat, 4)
    with pytest.raises(FileTooLargeError, match="it is long"):
        await channel({"err": {"file_too_large": "it is long"}}).fetch(cat, 4)
    with pytest.raises(UndeliverableError, match='"cat" cannot be fetched: this channel has no files'):
        await channel({"ok": b"meow"}, max_download_bytes=0).fetch(cat, 4)


def test_files_of_a_message_are_bounded_and_said_to_be_something() -> None:
    told = {"id": "1", "name": "cat", "media_type": "nonsense", "size": str(2**63)}
    files = [{**told, "id": "x" * 5000}, told, *({**told, "id": str(number)} for number in range(100))]
    message = incoming(
        {"conversation": "c", "sender": "s", "text": "", "sent_at_ms": None, "attachments": files}
    )
    assert message is not None
    assert len(message.attachments) == 49
    assert message.attachments[0] == Attachment(id="1", name="cat")


def test_a_file_is_sent_in_place_of_a_text() -> None:
    file = File(name="cat.png", media_type="image/png", content=b"meow")
    told = outgoing(replace(OUTGOING, text="", files=[file]))
    assert told["file"] == {"name": "cat.png", "media_type": "image/png", "content": b"meow"}
    assert outgoing(OUTGOING)["file"] is None


async def test_a_platform_that_pushes_too_fast_is_told_when_to_go_on() -> None:
    async with connected() as (adapter, guest):
        guest.answer = {"err": {"throttled": {"message": "slower", "retry_after_ms": 2500}}}
        with pytest.raises(UnavailableError, match="slower") as raised:
            await adapter.pushed(PUSHED)
    assert raised.value.retry_after_secs == 3


async def test_who_pushes_is_not_told_how_the_plugin_broke(capsys: pytest.CaptureFixture[str]) -> None:
    async with connected() as (adapter, guest):
        guest.answer = ToolFailure("trap", "the guest trapped; its last words on stderr: hunter2")
        with pytest.raises(UnavailableError) as raised:
            await adapter.pushed(PUSHED)
    assert raised.value.message == 'channel "one" cannot take this now'
    assert "hunter2" in capsys.readouterr().err


async def test_a_plugin_can_have_a_channel_wait_for_an_hour_at_most() -> None:
    throttled = {"err": {"throttled": {"message": "slower", "retry_after_ms": 2**32 - 1}}}
    with pytest.raises(ThrottledError) as raised:
        await channel(throttled).send(OUTGOING)
    assert raised.value.retry_after_secs == 3600


async def test_all_of_a_query_is_handed_over() -> None:
    async with connected() as (adapter, guest):
        guest.answer = {"ok": {"messages": [], "response": {"status": 200, "headers": [], "body": b""}}}
        await adapter.pushed(replace(PUSHED, query=[("tag", "a"), ("tag", "b")]))
        assert guest.asked[-1][1]["query"] == [("tag", "a"), ("tag", "b")]


async def test_an_answer_to_a_push_has_a_status_that_http_knows() -> None:
    async with connected() as (adapter, guest):
        response = {"status": 999, "headers": [], "body": b""}
        guest.answer = {"ok": {"messages": [], "response": response}}
        with pytest.raises(UnavailableError, match='plugin "p" answered with the status 999'):
            await adapter.pushed(PUSHED)


async def test_what_cannot_be_changed_has_no_id_to_change_it_by() -> None:
    assert await channel({"ok": "m1"}).send(OUTGOING) == "m1"
    assert await channel({"ok": "m1"}, edits=False).send(OUTGOING) is None


async def test_only_a_platform_that_pushes_is_pushed_to_and_only_while_connected() -> None:
    assert not isinstance(channel({"ok": None}, receives=False), HttpReceiver)
    pushed = channel({"ok": None})
    assert isinstance(pushed, HttpReceiver)
    with pytest.raises(UnavailableError, match='channel "one" is not connected'):
        await pushed.pushed(PUSHED)


def test_channels_that_are_only_pushed_to_share_no_account() -> None:
    assert channel({"ok": None}, poll_interval_ms=None).account is None
    assert channel({"ok": None}).account is not None


_MESSAGES = SIGNATURES["poll"].type.result.ok.fields[0][1].element


@given(json_values(_MESSAGES))
def test_every_message_that_the_types_allow_is_read_or_left_out(told: dict[str, Any]) -> None:
    message = incoming(told)
    assert (message is None) == (not told["conversation"] or not told["sender"])
    if message is not None:
        assert (message.text, message.event_id, message.is_group) == (
            told["text"],
            told["event_id"],
            told["is_group"],
        )


@given(st.integers(0, 2**53))
def test_a_moment_outside_of_the_calendar_is_none(moment: int) -> None:
    told = {"conversation": "c", "sender": "s", "text": "", "sent_at_ms": moment, "attachments": []}
    message = incoming(told)
    assert message is not None
    if message.sent_at is not None:
        assert abs(message.sent_at.timestamp() * 1000 - moment) < 1
    else:
        assert moment >= 253_402_300_800_000
