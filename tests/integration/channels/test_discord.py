"""The adapter for Discord against the emulated platform, which discord.py accepts as well."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from prx.core.channel import Attachment, OutgoingMessage
from prx.core.channel_errors import FileTooLargeError, ThrottledError, UndeliverableError
from prx.core.file import File
from prx.core.ids import new_id
from tests.support.channel_kit import NAME, AdapterContract, Setting, set_up
from tests.support.platforms.discord import BOT_ID, CHANNEL, DM, DiscordServer
from tests.support.platforms.discord_gateway import INVALID_SESSION, RECONNECT
from tests.support.platforms.telegram import TelegramServer
from tests.support.rehearsals.emulated import DiscordRehearsal
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
async def discord() -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as server:
        yield server


@pytest.fixture
def rehearsal(discord: DiscordServer) -> DiscordRehearsal:
    return DiscordRehearsal(discord)


@pytest.fixture
async def setting(rehearsal: DiscordRehearsal, tmp_path: Path) -> AsyncIterator[Setting]:
    async with set_up(rehearsal, tmp_path) as setting:
        yield setting


@pytest.fixture
async def connected(rehearsal: DiscordRehearsal, setting: Setting) -> Setting:
    await setting.configure(rehearsal.table())
    await setting.becomes("connected")
    return setting


class TestDiscord(AdapterContract):
    """See `AdapterContract`."""


async def test_a_wrong_token_says_what_the_list_of_channels_documents(
    discord: DiscordServer, setting: Setting, rehearsal: DiscordRehearsal
) -> None:
    await setting.configure(rehearsal.wrong_table())
    await setting.becomes("disconnected")
    assert setting.channels.get(NAME).error == "Invalid bot token"
    assert discord.gateway.identified == 0


async def test_something_else_at_the_address_is_told(setting: Setting, rehearsal: DiscordRehearsal) -> None:
    async with TelegramServer() as server:
        await setting.configure(rehearsal.table() | {"base_url": server.url})
        await setting.becomes("reconnecting")
    assert setting.channels.get(NAME).error == "no Discord answers at base_url, but something that says 404"


async def test_an_intent_that_is_not_allowed_says_what_to_do_and_is_not_tried_again(
    discord: DiscordServer, setting: Setting, rehearsal: DiscordRehearsal
) -> None:
    discord.privileged = 0
    await setting.configure(rehearsal.table())
    await setting.becomes("disconnected")
    assert "allow the Message Content Intent" in (setting.channels.get(NAME).error or "")
    await setting.configure(rehearsal.table() | {"message_content": False})
    await setting.becomes("connected")


async def test_another_connection_that_discord_wants_is_made_without_a_pause(
    discord: DiscordServer, connected: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the connection had been there for long.
    monkeypatch.setattr("prx.channels.upholding._LEAST_LIFE_SECS", 0.0)
    since = connected.channels.get(NAME).connected_at
    discord.gateway.tell(RECONNECT)
    discord.say("meanwhile")
    await connected.comes("meanwhile")
    await eventually(lambda: discord.gateway.resumed == 1)
    assert connected.channels.get(NAME).connected_at == since
    assert connected.texts == ["meanwhile"]


async def test_one_that_wants_another_connection_again_and_again_gets_pauses(
    discord: DiscordServer, connected: Setting
) -> None:
    discord.gateway.tell(INVALID_SESSION, data=True)
    await connected.becomes("reconnecting")
    assert connected.channels.get(NAME).error == "Discord wants another connection"


async def test_what_no_session_tells_of_any_more_is_read_again_where_the_bot_takes_part(
    discord: DiscordServer, rehearsal: DiscordRehearsal, connected: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pause that Discord asks for before a new session is only paid here.
    monkeypatch.setattr("prx.channels.adapters.discord.gateway.random.random", lambda: -1.0)
    discord.say("in private")
    discord.say(f"<@{BOT_ID}> in the server", channel=CHANNEL, mentions=[discord.bot])
    discord.say("in private again")
    await connected.comes("in private again")  # so how far it came in the server is kept
    await connected.configure(None)
    discord.gateway.forget_sessions()
    for number in range(103):
        discord.say(f"missed {number}")
    discord.say("missed there, too", channel=CHANNEL)
    await connected.configure(rehearsal.table())
    there = await connected.comes("missed there, too")
    assert there.is_group
    discord.say("after")
    await connected.comes("after")
    missed = [f"missed {number}" for number in range(103)]
    assert [text for text in connected.texts if text.startswith("missed ") and text[-1].isdigit()] == missed
    assert not (await connected.comes("missed 0")).is_group
    assert discord.gateway.identified == 2


async def test_a_channel_that_is_gone_is_not_read_again(
    discord: DiscordServer, rehearsal: DiscordRehearsal, connected: Setting
) -> None:
    discord.say(f"<@{BOT_ID}> hello", channel=CHANNEL, mentions=[discord.bot])
    await connected.comes("hello")
    await connected.configure(None)
    discord.gateway.forget_sessions()
    discord.remove_channel(CHANNEL)
    await connected.configure(rehearsal.table())
    await connected.becomes("connected")


async def test_an_address_that_is_gone_is_not_insisted_on(
    discord: DiscordServer, rehearsal: DiscordRehearsal, connected: Setting
) -> None:
    """A session names where to resume it; when nothing is there, Discord is asked."""
    await connected.configure(None)
    cursors = connected.channels._services.cursors
    kept = await cursors.load(NAME)
    assert kept is not None
    await cursors.save(NAME, kept.replace(discord.gateway.url, "ws://127.0.0.1:1"))
    await connected.configure(rehearsal.table())
    await connected.becomes("reconnecting")
    connected.channels.restart(NAME)
    await connected.becomes("connected")
    assert discord.gateway.resumed == 1


async def test_a_bot_that_connected_too_often_waits_as_long_as_discord_says(
    discord: DiscordServer, rehearsal: DiscordRehearsal, setting: Setting
) -> None:
    discord.logins_left = 0
    await setting.configure(rehearsal.table())
    await setting.becomes("reconnecting")
    assert setting.channels.get(NAME).error == "this bot connected too often today"


async def test_servers_know_mentions_replies_bots_and_the_bot_itself(
    discord: DiscordServer, connected: Setting
) -> None:
    other = discord.user("5", "robot", bot=True)
    discord.say("just talk", channel=CHANNEL)
    discord.say(f"<@!{BOT_ID}>, hello", channel=CHANNEL, mentions=[discord.bot])
    discord.say(f"I like <@{BOT_ID}>", channel=CHANNEL, mentions=[discord.bot])
    mine = {"author": discord.bot, "id": "1"}
    discord.say("a reply", channel=CHANNEL, type=19, referenced_message=mine)
    discord.say("beep", channel=CHANNEL, author=other)
    discord.say("from outside", channel=CHANNEL, webhook_id="8")
    discord.say("somebody joined", channel=CHANNEL, type=7)
    await connected.adapter.send(OutgoingMessage(conversation=CHANNEL, text="mine"))
    mine_too = await connected.comes("mine")
    assert mine_too.is_self
    assert [(each.text, each.mentioned, each.is_bot) for each in connected.heard.messages] == [
        ("just talk", False, False),
        ("hello", True, False),
        (f"I like <@{BOT_ID}>", True, False),
        ("a reply", True, False),
        ("beep", False, True),
        ("from outside", False, True),
        ("mine", False, True),
    ]
    assert all(message.is_group for message in connected.heard.messages)
    assert list(connected.heard.messages[0].sender_aliases) == ["@ada"]
    assert list(connected.heard.messages[5].sender_aliases) == []


async def test_an_answer_is_typed_edited_and_calls_nobody(discord: DiscordServer, connected: Setting) -> None:
    adapter = connected.adapter
    await adapter.typing(DM, None)
    assert discord.typed == [DM]
    asked = discord.say("hello")
    draft = OutgoingMessage(
        conversation=DM, text="@everyone", formatted="**@everyone**", reply_to=asked["id"]
    )
    ident = await adapter.send(draft)
    assert ident is not None
    await adapter.edit(ident, OutgoingMessage(conversation=DM, text="whole"))
    (sent,) = discord.sent
    assert (sent["content"], sent["message_reference"]["message_id"]) == ("whole", asked["id"])
    assert sent["asked"]["allowed_mentions"] == {"parse": []}
    assert sent["asked"]["flags"] == 4


async def test_what_is_sent_twice_under_one_key_is_there_once(
    discord: DiscordServer, connected: Setting
) -> None:
    adapter = connected.adapter
    message = OutgoingMessage(conversation=DM, text="hello", key=f"{new_id('chat')}-0")
    file = File(name="a.txt", media_type="text/plain", content=b"content")
    assert await adapter.send(message) == await adapter.send(message)
    with_file = replace(message, files=[file], key=f"{new_id('chat')}-0")
    assert await adapter.send(with_file) == await adapter.send(with_file)
    await adapter.send(replace(message, key=None))
    assert discord.texts == ["hello"] * 3
    assert [len(sent["files"]) for sent in discord.sent] == [0, 1, 0]


async def test_what_discord_refuses_is_told_apart(discord: DiscordServer, connected: Setting) -> None:
    adapter = connected.adapter
    discord.throttle(0.25)
    with pytest.raises(ThrottledError) as throttled:
        await adapter.send(OutgoingMessage(conversation=DM, text="too much"))
    assert throttled.value.retry_after_secs == 0.25
    discord.forbidden.add(CHANNEL)
    with pytest.raises(UndeliverableError, match="Missing Permissions"):
        await adapter.send(OutgoingMessage(conversation=CHANNEL, text="x"))
    with pytest.raises(UndeliverableError, match="Unknown Message"):
        await adapter.edit("999", OutgoingMessage(conversation=DM, text="x"))
    assert connected.channels.get(NAME).status == "connected"


async def test_files_come_and_go(discord: DiscordServer, connected: Setting) -> None:
    told = discord.attachment("a.txt", b"content", "text/plain; charset=utf-8")
    discord.say("see", attachments=[told])
    attachment = Attachment(id=told["url"], name="a.txt", media_type="text/plain", size=7)
    message = await connected.comes("see")
    assert list(message.attachments) == [attachment]
    assert await connected.adapter.fetch(attachment, 7) == b"content"
    with pytest.raises(FileTooLargeError):
        await connected.adapter.fetch(attachment, 6)
    with pytest.raises(UndeliverableError, match="not at one of Discord's own addresses"):
        await connected.adapter.fetch(Attachment(id="http://169.254.169.254/latest"), 7)
    files = [File(name=f"{n}.txt", media_type="text/plain", content=b"back") for n in range(2)]
    await connected.adapter.send(OutgoingMessage(conversation=DM, text="both", files=files))
    assert (discord.texts, discord.sent[0]["files"]) == (["both"], [b"back", b"back"])
    large = File(name="large", media_type="text/plain", content=b"x" * (11 << 20))
    with pytest.raises(UndeliverableError, match="too large"):
        await connected.adapter.send(OutgoingMessage(conversation=DM, text="", files=[large]))


async def test_the_doctor_tells_what_the_bot_lacks(
    discord: DiscordServer, setting: Setting, rehearsal: DiscordRehearsal
) -> None:
    await setting.configure(rehearsal.table() | {"enabled": False})
    adapter = rehearsal.connect(NAME, setting.configured[NAME])
    discord.privileged = 0
    discord.permissions = 1 << 10
    discord.logins_left = 3
    intent, logins, permissions = [finding for finding in await adapter.diagnose() if finding.remedy]
    assert "Message Content Intent" in intent.what
    assert logins.what == "The bot may connect anew 3 times more today"
    assert 'In the server "Guild" the bot lacks: Send Messages' in permissions.what
    discord.is_invited = False
    assert "is in no server" in (await adapter.diagnose())[-1].what
    await discord.stop()
    (finding,) = await adapter.diagnose()
    assert finding.what == "127.0.0.1 cannot be reached: Connection refused"
