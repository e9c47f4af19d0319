"""The adapter for Slack against the emulated platform, which slack-sdk accepts as well."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prx.core.channel import Attachment, OutgoingMessage
from prx.core.channel_errors import FileTooLargeError, ThrottledError, UndeliverableError
from prx.core.file import File
from tests.support.channel_kit import NAME, AdapterContract, Setting, set_up
from tests.support.platforms.slack import BOT, CHANNEL, DM, SlackServer
from tests.support.rehearsals.emulated import SlackRehearsal
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
def rehearsal(slack: SlackServer) -> SlackRehearsal:
    return SlackRehearsal(slack)


@pytest.fixture
async def setting(rehearsal: SlackRehearsal, tmp_path: Path) -> AsyncIterator[Setting]:
    async with set_up(rehearsal, tmp_path) as setting:
        yield setting


@pytest.fixture
async def connected(rehearsal: SlackRehearsal, setting: Setting) -> Setting:
    await setting.configure(rehearsal.table())
    await setting.becomes("connected")
    return setting


class TestSlack(AdapterContract):
    """See `AdapterContract`."""


@pytest.mark.parametrize(
    ("key", "told"), [("bot_token", "Invalid bot token"), ("app_token", "Invalid app token")]
)
async def test_a_wrong_token_says_which_one_and_connects_nothing(
    slack: SlackServer, setting: Setting, rehearsal: SlackRehearsal, key: str, told: str
) -> None:
    await setting.configure(rehearsal.table() | {key: "hunter2"})
    await setting.becomes("disconnected")
    assert (setting.channels.get(NAME).error, slack.sockets.opened) == (told, 0)


@pytest.mark.parametrize("when", ["before", "later"])
async def test_socket_mode_that_is_off_says_what_to_do_and_is_not_tried_again(
    slack: SlackServer, setting: Setting, rehearsal: SlackRehearsal, when: str
) -> None:
    slack.sockets.is_off = when == "before"
    await setting.configure(rehearsal.table())
    if when == "later":
        await setting.becomes("connected")
        slack.sockets.disconnect("link_disabled")
    await setting.becomes("disconnected")
    assert "switch it on" in (setting.channels.get(NAME).error or "")


async def test_another_connection_that_slack_wants_is_made_without_a_pause(
    slack: SlackServer, connected: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the connection had been there for long.
    monkeypatch.setattr("prx.channels.upholding._LEAST_LIFE_SECS", 0.0)
    since = connected.channels.get(NAME).connected_at
    slack.sockets.disconnect("refresh_requested")
    await eventually(lambda: slack.sockets.opened == 2)
    slack.say("meanwhile")
    await connected.comes("meanwhile")
    assert connected.channels.get(NAME).connected_at == since


async def test_one_that_wants_another_connection_again_and_again_gets_pauses(
    slack: SlackServer, connected: Setting
) -> None:
    slack.sockets.disconnect("warning")
    await connected.becomes("reconnecting")
    assert connected.channels.get(NAME).error == "Slack wants another connection"


async def test_each_envelope_is_acknowledged_once_it_is_kept(slack: SlackServer, connected: Setting) -> None:
    slack.say("hello")
    slack.tell({"type": "reaction_added", "user": "UADA"})
    await connected.comes("hello")
    await eventually(lambda: slack.sockets.unacknowledged == 0)
    assert len(slack.sockets.delivered) == 2


async def test_what_slack_gave_up_to_tell_is_read_again_where_the_bot_takes_part(
    slack: SlackServer, rehearsal: SlackRehearsal, connected: Setting
) -> None:
    slack.say("in private")
    asked = slack.say(f"<@{BOT}> in a channel", channel=CHANNEL)
    await connected.comes("in a channel")
    await eventually(lambda: slack.sockets.unacknowledged == 0)  # so how far it came is kept, too
    await connected.configure(None)
    slack.say("missed")
    slack.say("missed in the thread", channel=CHANNEL, thread_ts=asked["ts"])
    slack.say(f"<@{BOT}> missed in the channel", channel=CHANNEL)
    slack.sockets.forget()
    await connected.configure(rehearsal.table())
    await connected.becomes("connected")
    slack.say("after")
    await connected.comes("after")
    by_text = {message.text: message for message in connected.heard.messages}
    assert len(by_text) == len(connected.texts) == 6
    assert not by_text["missed"].is_group
    thread = by_text["missed in the thread"]
    assert (thread.thread, thread.is_group, thread.mentioned) == (asked["ts"], True, True)
    assert by_text["missed in the channel"].mentioned


async def test_history_that_slack_does_not_give_ends_nothing(
    slack: SlackServer, rehearsal: SlackRehearsal, connected: Setting
) -> None:
    slack.say("hello")
    await connected.comes("hello")
    await connected.configure(None)
    slack.history_is_throttled = True
    await connected.configure(rehearsal.table())
    await connected.becomes("connected")
    await connected.configure(None)
    slack.history_is_throttled = False
    slack.channels.remove(DM)
    await connected.configure(rehearsal.table())
    await connected.becomes("connected")


async def test_channels_know_mentions_threads_bots_and_the_bot_itself(
    slack: SlackServer, connected: Setting
) -> None:
    slack.say("just &amp; talk <https://a.b|this> <#C1|general>", channel=CHANNEL)
    asked = slack.say(f"<@{BOT}>: hello", channel=CHANNEL)
    slack.tell(asked | {"type": "app_mention"})
    slack.say("go on", channel=CHANNEL, thread_ts=asked["ts"])
    slack.say("elsewhere", channel=CHANNEL, thread_ts="1.000000")
    slack.say("beep", channel=CHANNEL, bot_id="B2", subtype="bot_message")
    slack.say("joined", channel=CHANNEL, subtype="channel_join")
    await connected.adapter.send(OutgoingMessage(conversation=CHANNEL, text="mine"))
    mine = await connected.comes("mine")
    assert mine.is_self
    heard = connected.heard.messages
    assert [(each.text, each.mentioned, each.is_bot) for each in heard] == [
        ("just & talk this (https://a.b) #general", False, False),
        ("hello", True, False),
        ("go on", True, False),
        ("elsewhere", False, False),
        ("beep", False, True),
        ("mine", False, True),
    ]
    assert (heard[1].thread, heard[2].thread) == (asked["ts"], asked["ts"])
    slack.say("in private")
    private = await connected.comes("in private")
    assert (private.is_group, private.thread) == (False, None)


async def test_answers_in_channels_can_stay_out_of_threads(
    slack: SlackServer, rehearsal: SlackRehearsal, setting: Setting
) -> None:
    await setting.configure(rehearsal.table() | {"reply_in_threads": False})
    await setting.becomes("connected")
    slack.say("hello", channel=CHANNEL)
    assert (await setting.comes("hello")).thread is None


async def test_an_answer_is_edited_in_its_thread_and_calls_nobody(
    slack: SlackServer, connected: Setting
) -> None:
    adapter = connected.adapter
    await adapter.typing(DM, None)  # of which Slack knows nothing
    draft = OutgoingMessage(conversation=CHANNEL, text="<!channel> *no*", thread="1.000000")
    ident = await adapter.send(draft)
    assert ident is not None
    assert slack.sent[0]["text"] == "&lt;!channel&gt; *no*"
    await adapter.edit(ident, OutgoingMessage(conversation=CHANNEL, text="no", formatted="*no*"))
    (sent,) = slack.sent
    assert (sent["text"], sent["thread_ts"]) == ("*no*", "1.000000")
    assert sent["asked"]["unfurl_links"] == sent["asked"]["unfurl_media"] == "false"


async def test_what_slack_refuses_is_told_apart(slack: SlackServer, connected: Setting) -> None:
    adapter = connected.adapter
    slack.throttle(7)
    with pytest.raises(ThrottledError) as throttled:
        await adapter.send(OutgoingMessage(conversation=DM, text="too much"))
    assert throttled.value.retry_after_secs == 7
    with pytest.raises(UndeliverableError, match="channel_not_found"):
        await adapter.send(OutgoingMessage(conversation="C9", text="x"))
    with pytest.raises(UndeliverableError, match="message_not_found"):
        await adapter.edit("9.000000", OutgoingMessage(conversation=DM, text="x"))
    slack.scopes.remove("chat:write")
    with pytest.raises(UndeliverableError, match="lacks the scope chat:write"):
        await adapter.send(OutgoingMessage(conversation=DM, text="x"))
    assert connected.channels.get(NAME).status == "connected"


async def test_files_come_and_go(slack: SlackServer, connected: Setting) -> None:
    told = slack.file("a.txt", b"content", "text/plain")
    slack.say("see", files=[told], subtype="file_share")
    attachment = Attachment(id=told["url_private"], name="a.txt", media_type="text/plain", size=7)
    message = await connected.comes("see")
    assert list(message.attachments) == [attachment]
    assert await connected.adapter.fetch(attachment, 7) == b"content"
    with pytest.raises(FileTooLargeError):
        await connected.adapter.fetch(attachment, 6)
    with pytest.raises(UndeliverableError, match="not at Slack's own address"):
        await connected.adapter.fetch(Attachment(id="https://example.org/a.txt"), 7)
    files = [File(name=f"{n}.txt", media_type="text/plain", content=b"back") for n in range(2)]
    where = OutgoingMessage(conversation=CHANNEL, text="both", files=files, thread="1.000000")
    assert await connected.adapter.send(where) == slack.sent[0]["ts"]
    assert [content for _, content in slack.shared] == [b"back", b"back"]
    assert {asked["thread_ts"] for asked, _ in slack.shared} == {"1.000000"}


async def test_the_doctor_tells_what_the_app_lacks(
    slack: SlackServer, setting: Setting, rehearsal: SlackRehearsal
) -> None:
    await setting.configure(rehearsal.table() | {"enabled": False, "app_token": "hunter2"})
    adapter = rehearsal.connect(NAME, setting.configured[NAME])
    slack.scopes -= {"files:read", "im:history"}
    scopes, app = [finding for finding in await adapter.diagnose() if finding.remedy]
    assert scopes.what == "The bot lacks files:read (fetch files), im:history (read direct messages)"
    assert app.what == "Slack does not know the app's token"
    await setting.configure(rehearsal.table() | {"enabled": False})
    adapter = rehearsal.connect(NAME, setting.configured[NAME])
    slack.sockets.is_off = True
    assert "Socket Mode is not allowed" in (await adapter.diagnose())[-1].what
    await slack.stop()
    (finding,) = await adapter.diagnose()
    assert finding.what == "127.0.0.1 cannot be reached: Connection refused"
