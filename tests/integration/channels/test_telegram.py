"""The adapter for Telegram against the emulated Bot API, which python-telegram-bot accepts as well."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from prx.core.channel import Attachment, OutgoingMessage
from prx.core.channel_errors import FileTooLargeError, MarkupRefusedError, ThrottledError, UndeliverableError
from prx.core.file import File
from tests.support.channel_kit import NAME, AdapterContract, Setting, set_up
from tests.support.platforms.server import Json
from tests.support.platforms.telegram import BOT_ID, TelegramServer
from tests.support.rehearsals.emulated import TelegramRehearsal
from tests.support.waiting import eventually

GROUP: Json = {"id": -100200, "type": "supergroup", "title": "Garden", "is_forum": True}
CHAT = "111"

pytestmark = pytest.mark.slow


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


@pytest.fixture
def rehearsal(telegram: TelegramServer) -> TelegramRehearsal:
    return TelegramRehearsal(telegram)


@pytest.fixture
async def setting(rehearsal: TelegramRehearsal, tmp_path: Path) -> AsyncIterator[Setting]:
    async with set_up(rehearsal, tmp_path) as setting:
        yield setting


@pytest.fixture
async def connected(rehearsal: TelegramRehearsal, setting: Setting) -> Setting:
    await setting.configure(rehearsal.table())
    await setting.becomes("connected")
    return setting


class TestTelegram(AdapterContract):
    """See `AdapterContract`."""


@pytest.mark.parametrize("token", ["7000000001:hunter2", "hunter2"])
async def test_a_wrong_token_says_what_the_list_of_channels_documents(
    setting: Setting, rehearsal: TelegramRehearsal, token: str
) -> None:
    await setting.configure(rehearsal.table() | {"bot_token": token})
    await setting.becomes("disconnected")
    assert setting.channels.get(NAME).error == "Invalid bot token"


async def test_an_offset_from_before_an_idle_week_loses_nothing(
    telegram: TelegramServer, connected: Setting
) -> None:
    """Telegram then numbers from somewhere below: the old offset would confirm what is new, unseen."""
    telegram.say("before")
    await connected.comes("before")
    # The poll that confirms it comes back with nothing, and takes its offset along.
    await eventually(lambda: telegram.calls[-1][1].get("offset") is not None)
    await eventually(lambda: telegram.calls[-1][1].get("offset") is None)
    telegram.after_an_idle_week()
    telegram.say("after")
    await connected.comes("after")


async def test_a_cursor_that_is_too_old_is_not_used(
    telegram: TelegramServer,
    rehearsal: TelegramRehearsal,
    connected: Setting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    telegram.say("before")
    await connected.comes("before")
    await connected.configure(None)
    telegram.after_an_idle_week()
    telegram.say("meanwhile")
    # As if the time had passed after which a saved offset counts no more.
    monkeypatch.setattr("prx.channels.adapters.telegram.adapter._CURSOR_SECS", -1.0)
    await connected.configure(rehearsal.table())
    await connected.comes("meanwhile")


async def test_what_was_written_before_the_channel_was_made_is_for_nobody(
    telegram: TelegramServer, rehearsal: TelegramRehearsal, setting: Setting
) -> None:
    telegram.say("long ago")
    await setting.configure(rehearsal.table())
    await setting.becomes("connected")
    telegram.say("now")
    await setting.comes("now")
    assert setting.texts == ["now"]


async def test_a_second_poller_is_told_of_and_outlived(telegram: TelegramServer, connected: Setting) -> None:
    await eventually(lambda: telegram.is_polled)
    await telegram.poll()
    await connected.becomes("reconnecting")
    assert "another program receives this bot's messages" in (connected.channels.get(NAME).error or "")
    connected.channels.restart(NAME)
    await connected.becomes("connected")


async def test_a_webhook_that_was_left_behind_is_removed(
    telegram: TelegramServer, rehearsal: TelegramRehearsal, setting: Setting
) -> None:
    telegram.webhook = "https://example.org/left-behind"
    adapter = await _diagnosable(setting, rehearsal)
    assert any("webhook" in finding.what and finding.remedy for finding in await adapter.diagnose())
    await setting.configure(rehearsal.table())
    await setting.becomes("connected")
    telegram.say("hello")
    await setting.comes("hello")


async def test_groups_know_mentions_replies_and_commands_for_the_bot(
    telegram: TelegramServer, connected: Setting
) -> None:
    def mention(text: str, kind: str, offset: int, length: int) -> None:
        entity = {"type": kind, "offset": offset, "length": length}
        telegram.say(text, chat=GROUP, entities=[entity])

    telegram.say("just talk", chat=GROUP)
    mention("@PRX_test_bot hello", "mention", 0, 13)
    mention("👋🏽 hi @prx_test_bot", "mention", 8, 13)
    mention("/new@prx_test_bot now", "bot_command", 0, 17)
    mention("/new@other_bot now", "bot_command", 0, 14)
    bot = {"id": BOT_ID, "is_bot": True, "first_name": "PRX"}
    telegram.say("a reply", chat=GROUP, reply_to_message={"message_id": 7, "from": bot})
    topic = {"message_id": 5, "from": bot, "forum_topic_created": {"name": "roses"}}
    telegram.say("in a topic", chat=GROUP, message_thread_id=5, is_topic_message=True, reply_to_message=topic)
    topical = await connected.comes("in a topic")
    assert [(message.text, message.mentioned) for message in connected.heard.messages] == [
        ("just talk", False),
        ("hello", True),
        ("👋🏽 hi @prx_test_bot", True),
        ("/new now", True),
        ("a reply", True),
        ("in a topic", False),
    ]
    assert all(message.is_group for message in connected.heard.messages)
    assert (topical.thread, topical.sender, list(topical.sender_aliases)) == ("5", "111", ["@ada"])
    await connected.adapter.send(OutgoingMessage(conversation=str(GROUP["id"]), text="hi", thread="5"))
    assert telegram.sent[-1]["asked"]["message_thread_id"] == 5


async def test_an_answer_is_typed_formatted_and_edited(telegram: TelegramServer, connected: Setting) -> None:
    adapter = connected.adapter
    await adapter.typing(CHAT, None)
    assert telegram.actions == [(CHAT, "typing")]
    draft = OutgoingMessage(conversation=CHAT, text="2 < 3", formatted="<b>2 &lt; 3</b>", reply_to="1")
    ident = await adapter.send(draft)
    assert ident is not None
    await adapter.edit(ident, OutgoingMessage(conversation=CHAT, text="whole"))
    await adapter.edit(ident, OutgoingMessage(conversation=CHAT, text="whole"))  # which Telegram refuses
    (sent,) = telegram.sent
    assert sent["text"] == "whole"
    first = next(fields for name, fields in telegram.calls if name == "sendMessage")
    assert (first["text"], first["parse_mode"]) == ("<b>2 &lt; 3</b>", "HTML")
    assert first["reply_parameters"] == {"message_id": 1, "allow_sending_without_reply": True}
    assert first["link_preview_options"] == {"is_disabled": True}


async def test_what_telegram_refuses_is_told_apart(telegram: TelegramServer, connected: Setting) -> None:
    adapter = connected.adapter
    telegram.throttle(7)
    with pytest.raises(ThrottledError) as throttled:
        await adapter.send(OutgoingMessage(conversation=CHAT, text="too much"))
    assert throttled.value.retry_after_secs == 7
    with pytest.raises(MarkupRefusedError):
        await adapter.send(OutgoingMessage(conversation=CHAT, text="x", formatted="<b>x"))
    with pytest.raises(MarkupRefusedError):  # as three backticks alone are
        await adapter.send(
            OutgoingMessage(conversation=CHAT, text="```", formatted="<pre><code></code></pre>")
        )
    telegram.gone.add(CHAT)
    with pytest.raises(UndeliverableError, match="blocked by the user"):
        await adapter.send(OutgoingMessage(conversation=CHAT, text="x"))
    with pytest.raises(UndeliverableError, match="message to edit not found"):
        await adapter.edit("999", OutgoingMessage(conversation="222", text="x"))
    assert connected.channels.get(NAME).status == "connected"


async def test_files_come_and_go(telegram: TelegramServer, connected: Setting) -> None:
    telegram.keep_file("doc", b"content")
    document = {"file_id": "doc", "file_name": "a.txt", "mime_type": "text/plain", "file_size": 7}
    telegram.say(document=document, caption="see")
    attachment = Attachment(id="doc", name="a.txt", media_type="text/plain", size=7)
    message = await connected.comes("see")
    assert list(message.attachments) == [attachment]
    assert await connected.adapter.fetch(attachment, 7) == b"content"
    with pytest.raises(FileTooLargeError):
        await connected.adapter.fetch(attachment, 6)
    text = File(name="b.txt", media_type="text/plain", content=b"back")
    picture = File(name="b.png", media_type="image/png", content=b"\x89PNG")
    for file in (text, picture):
        await connected.adapter.send(OutgoingMessage(conversation=CHAT, text="", files=[file]))
    assert [set(sent) & {"document", "photo", "text"} for sent in telegram.sent] == [{"document"}, {"photo"}]


async def test_a_picture_that_cannot_be_shown_goes_as_a_file(
    telegram: TelegramServer, connected: Setting
) -> None:
    telegram.shows_photos = False
    picture = File(name="b.png", media_type="image/png", content=b"\x89PNG")
    await connected.adapter.send(OutgoingMessage(conversation=CHAT, text="", files=[picture]))
    assert "document" in telegram.sent[-1]


async def test_the_doctor_tells_of_privacy_mode(
    telegram: TelegramServer, setting: Setting, rehearsal: TelegramRehearsal
) -> None:
    adapter = await _diagnosable(setting, rehearsal, mention_only=False)
    (remedy,) = [finding.remedy for finding in await adapter.diagnose() if finding.remedy]
    assert "mention_only" in remedy
    assert "/setprivacy" in remedy
    telegram.reads_all = True
    assert not [finding for finding in await adapter.diagnose() if finding.remedy]


async def test_the_doctor_tells_that_nothing_answers(
    telegram: TelegramServer, setting: Setting, rehearsal: TelegramRehearsal
) -> None:
    adapter = await _diagnosable(setting, rehearsal)
    await telegram.stop()
    (finding,) = await adapter.diagnose()
    assert finding.what == "127.0.0.1 cannot be reached: Connection refused"
    assert finding.remedy


async def _diagnosable(setting: Setting, rehearsal: TelegramRehearsal, **keys: Any) -> Any:
    await setting.configure(rehearsal.table() | keys | {"enabled": False})
    return rehearsal.connect(NAME, setting.configured[NAME])
