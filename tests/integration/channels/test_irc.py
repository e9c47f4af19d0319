"""IRC against ngIRCd."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prx.core.channel import OutgoingMessage
from prx.core.channel_errors import UndeliverableError
from tests.support.certificates import certificate
from tests.support.channel_kit import NAME, AdapterContract, Setting
from tests.support.rehearsals.irc import IrcRehearsal, irc_rehearsal

pytestmark = pytest.mark.slow
__all__ = ["certificate"]


@pytest.fixture
async def rehearsal(certificate: Path) -> AsyncIterator[IrcRehearsal]:
    async with irc_rehearsal(certificate) as rehearsal:
        yield rehearsal


class TestIrc(AdapterContract):
    async def test_a_room_is_a_group_where_the_nick_is_a_mention(
        self, rehearsal: IrcRehearsal, connected: Setting
    ) -> None:
        rehearsal.ada.send("JOIN #Lobby")
        await rehearsal.ada.until(" 366 ")
        for text in ("hello all", "PRX: what time is it?", "ask prx, it knows", "prxy is another"):
            rehearsal.ada.say("#Lobby", text)
        await connected.comes("prxy is another")
        heard = connected.heard.messages
        assert [(message.text, message.mentioned) for message in heard] == [
            ("hello all", False),
            ("what time is it?", True),
            ("ask prx, it knows", True),
            ("prxy is another", False),
        ]
        assert {(message.conversation, message.sender, message.is_group) for message in heard} == {
            ("#lobby", "ada", True)
        }
        await connected.adapter.send(OutgoingMessage(conversation="#lobby", text="noon"))
        assert await rehearsal.ada.read() == "noon"

    async def test_a_sender_is_known_by_nick_and_address(
        self, rehearsal: IrcRehearsal, connected: Setting
    ) -> None:
        bob = await rehearsal.joins("[Bob]")
        bob.say("prx", "\x02bold\x02 and \x0304red\x03")
        message = await connected.comes("bold and red")
        assert (message.conversation, message.sender) == ("{bob}", "{bob}")
        assert list(message.sender_aliases) == ["[Bob]", "[Bob]!~person@127.0.0.1"]

    async def test_what_is_done_is_heard_and_what_programs_ask_each_other_is_not(
        self, rehearsal: IrcRehearsal, connected: Setting
    ) -> None:
        rehearsal.ada.say("prx", "\x01VERSION\x01")
        rehearsal.ada.send("NOTICE prx :I am away")
        rehearsal.ada.say("prx", "\x01ACTION waves\x01")
        await connected.comes("*ada waves*")
        assert connected.texts == ["*ada waves*"]

    async def test_nobody_of_that_name_is_undeliverable(self, connected: Setting) -> None:
        for nobody in ("carol", "#nowhere", "two words", ""):
            with pytest.raises(UndeliverableError):
                await connected.adapter.send(OutgoingMessage(conversation=nobody, text="hello?"))

    async def test_a_text_cannot_smuggle_in_a_command(
        self, rehearsal: IrcRehearsal, connected: Setting
    ) -> None:
        await connected.adapter.send(OutgoingMessage(conversation="ada", text="x\r\nQUIT :gone"))
        assert await rehearsal.read() == "x QUIT :gone"

    async def test_a_nick_that_is_taken_gets_a_tail(self, rehearsal: IrcRehearsal, setting: Setting) -> None:
        await rehearsal.joins("prx")
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        rehearsal.ada.say("prx_", "are you the other one?")
        await setting.comes("are you the other one?")

    async def test_a_server_without_sasl_is_not_asked_again(
        self, rehearsal: IrcRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"sasl_password": "hunter2"})
        await setting.becomes("disconnected")
        assert "offers no SASL" in (setting.channels.get(NAME).error or "")

    async def test_accounts_that_the_server_does_not_tell_of_are_found(
        self, rehearsal: IrcRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"enabled": False, "allowed_users": ["account:ada"]})
        findings = await rehearsal.connect(NAME, setting.configured[NAME]).diagnose()
        (wrong,) = [finding for finding in findings if finding.remedy is not None]
        assert "what begins with account: in allowed_users lets nobody in" in wrong.what

    async def test_a_server_without_tls_says_what_to_look_at(
        self, rehearsal: IrcRehearsal, setting: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Such a server says nothing to who begins with TLS.
        monkeypatch.setattr("prx.channels.adapters.irc.connection._CONNECT_SECS", 0.5)
        await setting.configure(rehearsal.table() | {"tls": True})
        await setting.becomes("reconnecting")
        assert "does it speak TLS there at once" in (setting.channels.get(NAME).error or "")

    async def test_a_port_with_tls_says_what_to_look_at_without(
        self, rehearsal: IrcRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"port": rehearsal.server.tls_port})
        await setting.becomes("reconnecting")
        assert "does it speak IRC without TLS on this port?" in (setting.channels.get(NAME).error or "")

    async def test_tls_is_spoken_and_the_server_has_to_prove_who_it_is(
        self, rehearsal: IrcRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.tls_table())
        await setting.becomes("connected")
        await rehearsal.say("nobody listens")
        await setting.comes("nobody listens")
        await setting.configure(None)
        await setting.configure(rehearsal.tls_table() | {"tls_ca": None})
        await setting.becomes("reconnecting")
        assert "tls_ca" in (setting.channels.get(NAME).error or "")
