"""Matrix against Synapse."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from prx.core.channel import OutgoingMessage
from prx.core.channel_errors import ThrottledError
from prx.core.file import File
from prx.core.ids import new_id
from tests.support.channel_kit import NAME, AdapterContract, Setting, set_up
from tests.support.matrix_user import matrix_user
from tests.support.rehearsals.matrix import MatrixRehearsal, fresh_names, matrix_rehearsal
from tests.support.servers.synapse import Synapse, synapse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config) -> Iterator[Synapse]:
    with synapse(pytestconfig.cache.mkdir("synapse")) as server:
        yield server


@pytest.fixture
async def rehearsal(server: Synapse, tmp_path: Path) -> AsyncIterator[MatrixRehearsal]:
    async with matrix_rehearsal(server, tmp_path) as rehearsal:
        yield rehearsal


class TestMatrix(AdapterContract):
    async def test_an_encrypted_room_is_read_and_written_and_still_is_after_a_restart(
        self, rehearsal: MatrixRehearsal, connected: Setting
    ) -> None:
        room = await rehearsal.ada.invite(rehearsal.bot, encrypted=True)
        await rehearsal.ada.joined_by(room, rehearsal.bot)
        await rehearsal.ada.say(room, "a secret")
        await connected.comes("a secret")
        await connected.adapter.send(OutgoingMessage(conversation=room, text="it is safe"))
        assert (await rehearsal.ada.read())["content"]["body"] == "it is safe"
        await connected.configure(None)
        await rehearsal.ada.say(room, "said meanwhile")
        await connected.configure(rehearsal.table())
        await connected.comes("said meanwhile")
        await connected.becomes("connected")
        await connected.adapter.send(OutgoingMessage(conversation=room, text="still safe"))
        assert (await rehearsal.ada.read())["content"]["body"] == "still safe"
        assert connected.texts == ["a secret", "said meanwhile"]

    async def test_files_go_both_ways_in_an_encrypted_room(
        self, rehearsal: MatrixRehearsal, connected: Setting
    ) -> None:
        room = await rehearsal.ada.invite(rehearsal.bot, encrypted=True)
        await rehearsal.ada.joined_by(room, rehearsal.bot)
        await rehearsal.ada.say(room, "first")
        await connected.comes("first")
        file = File(name="notes.txt", media_type="text/plain", content=b"remember the milk")
        await connected.adapter.send(OutgoingMessage(conversation=room, text="", files=[file]))
        content = (await rehearsal.ada.read())["content"]
        assert (content["msgtype"], content["filename"]) == ("m.file", "notes.txt")
        # Ada sends the same file back.
        del content["m.mentions"]
        await rehearsal.ada.say(room, content.pop("body"), **content)
        await connected.comes("")
        [attachment] = connected.heard.messages[-1].attachments
        assert (attachment.name, attachment.media_type, attachment.size) == ("notes.txt", "text/plain", 17)
        assert await connected.adapter.fetch(attachment, 100) == file.content

    async def test_what_is_sent_twice_under_one_key_is_there_once_also_over_a_new_connection(
        self, rehearsal: MatrixRehearsal, connected: Setting
    ) -> None:
        for encrypted in (False, True):
            room = await rehearsal.ada.invite(rehearsal.bot, encrypted=encrypted)
            await rehearsal.ada.joined_by(room, rehearsal.bot)
            await rehearsal.ada.say(room, f"first, {encrypted}")
            await connected.comes(f"first, {encrypted}")
            file = File(name="a.txt", media_type="text/plain", content=b"content")
            message = OutgoingMessage(
                conversation=room, text="hello", files=[file, file], key=f"{new_id('chat')}-0"
            )
            sent = await connected.adapter.send(message)
            await connected.configure(None)
            await connected.configure(rehearsal.table())
            await connected.becomes("connected")
            assert await connected.adapter.send(message) == sent
            await connected.adapter.send(OutgoingMessage(conversation=room, text="bye"))
            read = [(await rehearsal.ada.read())["content"]["body"] for _ in range(4)]
            assert read == ["hello", "a.txt", "a.txt", "bye"]

    async def test_edits_threads_and_replies_are_what_apps_know(
        self, rehearsal: MatrixRehearsal, connected: Setting
    ) -> None:
        await rehearsal.say("in the room")
        asked = await connected.comes("in the room")
        room = asked.conversation
        reply = OutgoingMessage(
            conversation=room, text="draft", formatted="<b>draft</b>", reply_to=asked.message_id
        )
        draft = await connected.adapter.send(reply)
        assert draft is not None
        shown = (await rehearsal.ada.read())["content"]
        assert shown["formatted_body"] == "<b>draft</b>"
        assert shown["m.relates_to"] == {"m.in_reply_to": {"event_id": asked.message_id}}
        await connected.adapter.edit(draft, OutgoingMessage(conversation=room, text="final"))
        changed = (await rehearsal.ada.read())["content"]
        assert changed["m.new_content"]["body"] == "final"
        assert changed["m.relates_to"] == {"rel_type": "m.replace", "event_id": draft}
        in_thread = {"rel_type": "m.thread", "event_id": asked.message_id, "is_falling_back": True}
        await rehearsal.ada.say(
            room, "aside", **{"m.relates_to": in_thread | {"m.in_reply_to": {"event_id": draft}}}
        )
        aside = await connected.comes("aside")
        assert (aside.thread, aside.reply_to) == (asked.message_id, None)
        await connected.adapter.send(OutgoingMessage(conversation=room, text="also", thread=aside.thread))
        assert (await rehearsal.ada.read())["content"]["m.relates_to"]["event_id"] == asked.message_id
        await connected.adapter.typing(room, None)

    async def test_what_was_said_is_not_said_anew_by_a_change_of_it(
        self, rehearsal: MatrixRehearsal, connected: Setting
    ) -> None:
        await rehearsal.say("first")
        first = await connected.comes("first")
        await rehearsal.ada.say(
            rehearsal.room,
            "* first, corrected",
            **{
                "m.new_content": {"msgtype": "m.text", "body": "first, corrected"},
                "m.relates_to": {"rel_type": "m.replace", "event_id": first.message_id},
            },
        )
        await rehearsal.say("second")
        await connected.comes("second")
        assert connected.texts == ["first", "second"]

    async def test_a_room_of_three_is_a_group_where_a_reply_is_a_mention(
        self, rehearsal: MatrixRehearsal, connected: Setting, tmp_path: Path
    ) -> None:
        other = await asyncio.to_thread(rehearsal.server.register, new_id("bob").lower())
        async with matrix_user(rehearsal.server.url, other, tmp_path / "bob") as bob:
            room = await rehearsal.ada.invite(rehearsal.bot, other, direct=False)
            await bob.join(room)
            await rehearsal.ada.joined_by(room, rehearsal.bot, other)
            await rehearsal.ada.say(room, "hello both")
            first = await connected.comes("hello both")
            assert (first.is_group, first.mentioned) == (True, False)
            mine = await connected.adapter.send(OutgoingMessage(conversation=room, text="hello"))
            await rehearsal.ada.say(room, "you!", **{"m.relates_to": {"m.in_reply_to": {"event_id": mine}}})
            assert (await connected.comes("you!")).mentioned
            await rehearsal.ada.say(room, "who?", **{"m.mentions": {"user_ids": [rehearsal.bot]}})
            assert (await connected.comes("who?")).mentioned

    async def test_an_invite_of_a_stranger_to_a_group_is_left_alone(
        self, rehearsal: MatrixRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"allowed_users": ["@carol:localhost"]})
        await setting.becomes("connected")
        group = await rehearsal.ada.invite(rehearsal.bot, direct=False)
        chat = await rehearsal.ada.invite(rehearsal.bot)  # they may ask to be let in
        await rehearsal.ada.joined_by(chat, rehearsal.bot)
        assert rehearsal.bot in rehearsal.ada.client.rooms[group].invited_users

    async def test_an_invite_is_judged_by_the_policies_as_they_are_without_a_new_connection(
        self, rehearsal: MatrixRehearsal, setting: Setting
    ) -> None:
        ada = rehearsal.ada
        table = rehearsal.table() | {"allowed_users": ["@carol:localhost"], "pairing": False}
        await setting.configure(table)
        await setting.becomes("connected")
        since = setting.channels.get(NAME).connected_at
        left_alone = await ada.invite(rehearsal.bot)
        await setting.configure(table | {"allowed_users": [ada.client.user_id]})
        group = await ada.invite(rehearsal.bot, direct=False)
        await ada.joined_by(group, rehearsal.bot)
        await ada.joined_by(left_alone, rehearsal.bot)
        await setting.configure(table | {"allowed_users": ["*"], "group_policy": "disabled"})
        refused = await ada.invite(rehearsal.bot, direct=False)
        await ada.joined_by(await ada.invite(rehearsal.bot), rehearsal.bot)
        assert rehearsal.bot in ada.client.rooms[refused].invited_users
        assert setting.channels.get(NAME).connected_at == since

    async def test_more_than_one_answer_holds_is_not_lost(
        self, rehearsal: MatrixRehearsal, connected: Setting
    ) -> None:
        await rehearsal.say("before")
        await connected.comes("before")
        await connected.configure(None)
        said = [f"number {number}" for number in range(130)]
        for text in said:
            await rehearsal.say(text)
        await connected.configure(rehearsal.table())
        await connected.comes(said[-1])
        assert connected.texts == ["before", *said]


async def test_a_homeserver_that_wants_it_slower_says_for_how_long_and_is_asked_again(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    cache = pytestconfig.cache.mkdir("synapse")
    slow = "{per_second: 0.5, burst_count: 3}"
    with synapse(cache, messages=slow, joins="{per_second: 0.5, burst_count: 1}") as server:
        bot, ada = await asyncio.to_thread(fresh_names, server)
        async with matrix_user(server.url, ada, tmp_path / "ada") as user:
            rehearsal = MatrixRehearsal(server, bot, user)
            async with set_up(rehearsal, tmp_path) as setting:
                await setting.configure(rehearsal.table())
                await setting.becomes("connected")
                await rehearsal.say("count")
                message = await setting.comes("count")

                async def count() -> None:
                    for number in range(10):
                        await setting.adapter.send(
                            OutgoingMessage(conversation=message.conversation, text=str(number))
                        )

                with pytest.raises(ThrottledError) as refused:
                    await count()
                assert 0 < refused.value.retry_after_secs <= 10
                # What it does not let the bot do at once is done with a later answer.
                rooms = [await user.invite(rehearsal.bot) for _ in range(2)]
                for room in rooms:
                    await user.joined_by(room, rehearsal.bot)
