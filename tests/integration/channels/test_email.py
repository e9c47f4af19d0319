"""Email against Postfix and Dovecot."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from pydantic import SecretStr

from prx.channels.adapters.email.imap import logged_in
from prx.config.platforms.email import EmailConfig
from prx.core.channel import OutgoingMessage
from prx.core.channel_errors import AuthenticationError, FileTooLargeError, UndeliverableError
from prx.core.errors import UnavailableError
from prx.core.file import File
from tests.support.certificates import certificate
from tests.support.channel_kit import NAME, AdapterContract, Setting
from tests.support.mail_user import text_of
from tests.support.rehearsals.email import EmailRehearsal
from tests.support.servers.mail import MailServer, mail_server

pytestmark = pytest.mark.slow
__all__ = ["certificate"]


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[MailServer]:
    with mail_server(certificate) as server:
        yield server


@pytest.fixture
def rehearsal(server: MailServer, certificate: Path) -> EmailRehearsal:
    return EmailRehearsal(server, certificate)


class TestEmail(AdapterContract):
    @pytest.mark.parametrize("security", ["starttls", "none"])
    async def test_the_mailbox_is_read_by_starttls_and_without_tls(
        self, rehearsal: EmailRehearsal, setting: Setting, security: str
    ) -> None:
        port = rehearsal.server.dovecot.port
        await setting.configure(rehearsal.table() | {"imap_port": port, "imap_security": security})
        await setting.becomes("connected")
        await rehearsal.say("in the clear?")
        await setting.comes("in the clear?")

    async def test_a_server_that_nobody_vouches_for_is_not_believed(
        self, rehearsal: EmailRehearsal, setting: Setting
    ) -> None:
        table = rehearsal.table()
        del table["tls_ca"]
        await setting.configure(table)
        await setting.becomes("reconnecting")
        assert "tls_ca" in (setting.channels.get(NAME).error or "")

    async def test_an_answer_stays_in_the_thread_and_says_that_a_program_wrote_it(
        self, rehearsal: EmailRehearsal, connected: Setting
    ) -> None:
        first = await rehearsal.ada.write(rehearsal.bot, "What is it?", subject="The café")
        asked = await connected.comes("The café\n\nWhat is it?")
        await connected.adapter.send(
            OutgoingMessage(
                conversation=asked.conversation,
                thread=asked.thread,
                reply_to=asked.message_id,
                text="A café.",
                formatted="<p>A <b>café</b>.</p>",
            )
        )
        answer = await rehearsal.ada.read()
        assert (answer["Subject"], answer["In-Reply-To"], answer["References"]) == (
            "Re: The café",
            first,
            first,
        )
        assert answer["Auto-Submitted"] == "auto-replied"
        html = answer.get_body(("html",))
        assert html is not None
        assert html.get_content().strip() == "<p>A <b>café</b>.</p>"
        quoted = "Thanks!\n\nOn Monday PRX wrote:\n> A café."
        references = f"{first} {answer['Message-ID']}"
        await rehearsal.ada.write(
            rehearsal.bot,
            quoted,
            subject="Re: The café",
            In_Reply_To=answer["Message-ID"],
            References=references,
        )
        assert (await connected.comes("Thanks!")).thread == asked.thread

    async def test_what_is_sent_twice_under_one_key_has_one_id(
        self, rehearsal: EmailRehearsal, connected: Setting
    ) -> None:
        message = OutgoingMessage(conversation=rehearsal.ada.address, text="hello", key="chat_x-0")
        for key in ("chat_x-0", "chat_x-0", None):
            await connected.adapter.send(replace(message, key=key))
        first, again, other = [(await rehearsal.ada.read())["Message-ID"] for _ in range(3)]
        assert first == again == f"<chat_x-0@{rehearsal.bot.partition('@')[2]}>"
        assert other != first

    async def test_a_message_that_the_server_told_of_in_passing_is_not_waited_for(
        self, rehearsal: EmailRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"enabled": False})
        config = setting.configured[NAME]
        assert isinstance(config, EmailConfig)
        async with logged_in(config) as imap:
            await imap.select("INBOX")
            assert await imap.uids(1) == []
            await rehearsal.say("hello")

            async with asyncio.timeout(20):
                while not any(b"EXISTS" in response.text for response in await imap.command("NOOP")):
                    pass
                await imap.wait(600)
            assert len(await imap.uids(1)) == 1

    async def test_programs_are_left_alone(self, rehearsal: EmailRehearsal, connected: Setting) -> None:
        await rehearsal.ada.write(rehearsal.bot, "I am away", Auto_Submitted="auto-replied")
        await rehearsal.ada.write(rehearsal.bot, "news", List_Id="<news.test.example>")
        await rehearsal.ada.write(rehearsal.bot, "many", Precedence="bulk")
        await rehearsal.say("a person")
        await connected.comes("a person")
        assert connected.texts == ["a person"]

    async def test_files_go_both_ways(self, rehearsal: EmailRehearsal, connected: Setting) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"] = rehearsal.ada.address, rehearsal.bot
        mail.set_content("see attached")
        mail.add_attachment(b"\x00\x01", maintype="application", subtype="x-thing", filename="thing é.bin")
        await rehearsal.ada.post(mail)
        message = await connected.comes("see attached")
        [attachment] = message.attachments
        assert (attachment.name, attachment.media_type, attachment.size) == (
            "thing é.bin",
            "application/x-thing",
            2,
        )
        assert await connected.adapter.fetch(attachment, 10) == b"\x00\x01"
        file = File(name="back.txt", media_type="text/plain", content=b"and back")
        await connected.adapter.send(
            OutgoingMessage(conversation=message.conversation, text="here", files=[file])
        )
        [back] = (await rehearsal.ada.read()).iter_attachments()
        assert (back.get_filename(), back.get_content()) == ("back.txt", "and back")

    async def test_a_large_file_is_fetched_whole_or_not_at_all(
        self, rehearsal: EmailRehearsal, connected: Setting
    ) -> None:
        content = bytes(range(256)) * 2**14
        mail = EmailMessage()
        mail["From"], mail["To"] = rehearsal.ada.address, rehearsal.bot
        mail.set_content("four megabytes")
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename="big")
        await rehearsal.ada.post(mail)
        [attachment] = (await connected.comes("four megabytes")).attachments
        assert await connected.adapter.fetch(attachment, len(content)) == content
        with pytest.raises(FileTooLargeError):
            await connected.adapter.fetch(attachment, len(content) - 1)

    async def test_whom_the_mail_server_does_not_vouch_for_is_left_alone(
        self, rehearsal: EmailRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"require_authentication": "mx.test.example"})
        await setting.becomes("connected")
        await rehearsal.say("I am somebody else")
        await rehearsal.ada.write(
            rehearsal.bot, "I am Ada", Authentication_Results="mx.test.example; spf=pass; dmarc=pass"
        )
        await setting.comes("I am Ada")
        assert setting.texts == ["I am Ada"]

    async def test_a_server_that_takes_no_mail_is_noticed_by_an_answer_and_found_again(
        self, rehearsal: EmailRehearsal, connected: Setting
    ) -> None:
        answer = OutgoingMessage(conversation=rehearsal.ada.address, text="here it is")
        postfix = rehearsal.server.postfix
        await asyncio.to_thread(postfix.kill)
        try:
            with pytest.raises(UnavailableError):
                await connected.adapter.send(answer)
            await connected.becomes("reconnecting")
            assert f"127.0.0.1:{postfix.port} takes no connections" in (
                connected.channels.get(NAME).error or ""
            )
        finally:
            await asyncio.to_thread(postfix.start)
        await connected.becomes("connected")
        await connected.adapter.send(answer)
        assert text_of(await rehearsal.ada.read()) == "here it is"

    async def test_a_password_that_mail_is_not_sent_with_any_more_is_not_tried_again(
        self, rehearsal: EmailRehearsal, connected: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = connected.configured[NAME].model_copy(update={"password": SecretStr("hunter2")})
        # As if the password had been changed at the server: all accounts of this one have the same, for good.
        monkeypatch.setattr(connected.adapter, "_config", config)
        with pytest.raises(AuthenticationError):
            await connected.adapter.send(
                OutgoingMessage(conversation=rehearsal.ada.address, text="here it is")
            )
        await connected.becomes("disconnected")
        assert "the SMTP server refuses the login" in (connected.channels.get(NAME).error or "")

    async def test_an_address_that_is_none_is_undeliverable(self, connected: Setting) -> None:
        for nobody in ("nobody", "ada@elsewhere.example\r\nBcc: eve@elsewhere.example"):
            with pytest.raises(UndeliverableError):
                await connected.adapter.send(OutgoingMessage(conversation=nobody, text="hello?"))
