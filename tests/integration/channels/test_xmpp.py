"""XMPP against Prosody."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from slixmpp.features.feature_mechanisms.stanza.failure import Failure

from prx.channels.adapters.xmpp.stream import Stream
from prx.config.platforms.xmpp import XmppConfig
from prx.core.channel import OutgoingMessage
from prx.core.channel_errors import AuthenticationError, UndeliverableError
from prx.core.errors import PrxError, UnavailableError
from tests.support.certificates import certificate
from tests.support.channel_kit import NAME, AdapterContract, Setting
from tests.support.rehearsals.xmpp import BOT, LOBBY, XmppRehearsal, xmpp_rehearsal
from tests.support.servers.prosody import DOMAIN

pytestmark = pytest.mark.slow
__all__ = ["certificate"]


@pytest.fixture
async def rehearsal(certificate: Path) -> AsyncIterator[XmppRehearsal]:
    async with xmpp_rehearsal(certificate) as rehearsal:
        yield rehearsal


class TestXmpp(AdapterContract):
    async def test_a_host_that_is_not_in_the_dns_is_named(self, rehearsal: XmppRehearsal) -> None:
        table = rehearsal.table() | {"host": "nowhere.example"}
        stream = Stream(XmppConfig.model_validate(table), "prx")
        stream._unreached(f"No DNS record available for {DOMAIN}")
        assert (await stream.ended).message == (
            'no address is known for "nowhere.example": it is not in the DNS; check the name'
        )

    async def test_a_room_is_a_group_where_the_nick_is_a_mention_and_the_past_is_past(
        self, rehearsal: XmppRehearsal, setting: Setting
    ) -> None:
        await rehearsal.ada.join(LOBBY, "ada")
        await rehearsal.ada.say(LOBBY, "said before")
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        await rehearsal.ada.say(LOBBY, "hello all")
        await rehearsal.ada.say(LOBBY, "prx: what time is it?")
        asked = await setting.comes("what time is it?")
        assert [(message.text, message.mentioned) for message in setting.heard.messages] == [
            ("hello all", False),
            ("what time is it?", True),
        ]
        assert (asked.conversation, asked.is_group) == (LOBBY, True)
        assert asked.event_id is not None
        await setting.adapter.send(OutgoingMessage(conversation=LOBBY, text="noon"))
        assert (await rehearsal.ada.read())["body"] == "noon"

    async def test_an_answer_is_corrected_in_place(
        self, rehearsal: XmppRehearsal, connected: Setting
    ) -> None:
        ada = f"ada@{DOMAIN}"
        draft = await connected.adapter.send(OutgoingMessage(conversation=ada, text="draft"))
        assert draft is not None
        assert (await rehearsal.ada.read())["body"] == "draft"
        await connected.adapter.typing(ada, None)
        final = OutgoingMessage(conversation=ada, text="final", formatted="*final*")
        await connected.adapter.edit(draft, final)
        changed = await rehearsal.ada.read()
        assert (changed["body"], changed["replace"]["id"]) == ("*final*", draft)

    async def test_what_is_sent_twice_under_one_key_has_one_id_by_which_apps_know_it(
        self, rehearsal: XmppRehearsal, connected: Setting
    ) -> None:
        message = OutgoingMessage(conversation=f"ada@{DOMAIN}", text="hello", key="chat_x-0")
        for key in ("chat_x-0", "chat_x-0", None):
            await connected.adapter.send(replace(message, key=key))
        heard = [await rehearsal.ada.read() for _ in range(3)]
        ids = [(each["id"], each["origin_id"]["id"]) for each in heard]
        assert ids[:2] == [("chat_x-0", "chat_x-0")] * 2
        assert ids[2] not in ids[:2]

    async def test_what_was_said_is_not_said_anew_by_a_correction(
        self, rehearsal: XmppRehearsal, connected: Setting
    ) -> None:
        await rehearsal.say("first")
        first = await connected.comes("first")
        await rehearsal.ada.say(BOT, "first, corrected", replace=str(first.message_id))
        await rehearsal.say("second")
        await connected.comes("second")
        assert connected.texts == ["first", "second"]

    @pytest.mark.parametrize(
        ("condition", "error"),
        [("temporary-auth-failure", UnavailableError), ("not-authorized", AuthenticationError)],
    )
    async def test_a_login_that_cannot_be_checked_now_is_no_wrong_password(
        self, rehearsal: XmppRehearsal, condition: str, error: type[PrxError]
    ) -> None:
        stream = Stream(XmppConfig.model_validate(rehearsal.table()), "prx")
        failure = Failure()
        failure["condition"] = condition
        # As the library does when the server sends one: Prosody has no reason to.
        stream.event("failed_auth", failure)
        stream.event("failed_all_auth")
        assert isinstance(await stream.ended, error)

    async def test_what_is_no_address_is_undeliverable(self, connected: Setting) -> None:
        for nobody in ("", "nobody", "a@b@c", f"{'x' * 2000}@{DOMAIN}"):
            with pytest.raises(UndeliverableError):
                await connected.adapter.send(OutgoingMessage(conversation=nobody, text="hello?"))

    async def test_a_server_that_nobody_vouches_for_is_told_nothing(
        self, rehearsal: XmppRehearsal, setting: Setting
    ) -> None:
        table = rehearsal.table()
        del table["tls_ca"]
        await setting.configure(table)
        await setting.becomes("reconnecting")
        assert "tls_ca" in (setting.channels.get(NAME).error or "")
