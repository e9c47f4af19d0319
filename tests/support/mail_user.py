"""Somebody with a mailbox."""

import asyncio
import imaplib
import smtplib
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from email.utils import make_msgid

from tests.support.servers.mail import DOMAIN, PASSWORD, MailServer
from tests.support.waiting import PATIENCE_SECS

_PAUSE_SECS = 0.05


class MailUser:
    """Writes mail, and reads what comes, in its order."""

    def __init__(self, server: MailServer, name: str) -> None:
        self.address = f"{name}@{DOMAIN}"
        self._server = server
        self._name = name
        self._read = 0

    async def write(self, to: str, text: str, *, subject: str = "", **headers: str) -> str:
        """Send a message and return its id."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.address, to, subject
        mail["Message-ID"] = make_msgid(domain=DOMAIN)
        for name, value in headers.items():
            mail[name.replace("_", "-")] = value
        mail.set_content(text)
        await self.post(mail)
        return str(mail["Message-ID"])

    async def post(self, mail: EmailMessage) -> None:
        """Send a message as it is."""
        await asyncio.to_thread(self._post, mail)

    async def read(self) -> EmailMessage:
        """Return the next message that came; waits for it."""
        async with asyncio.timeout(PATIENCE_SECS):
            while True:
                found = await asyncio.to_thread(self._all)
                if len(found) > self._read:
                    self._read += 1
                    return found[self._read - 1]
                await asyncio.sleep(_PAUSE_SECS)

    def _post(self, mail: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self._server.postfix.port) as smtp:
            smtp.starttls()
            smtp.login(self._name, PASSWORD)
            smtp.send_message(mail)

    def _all(self) -> list[EmailMessage]:
        with imaplib.IMAP4("127.0.0.1", self._server.dovecot.port) as imap:
            imap.login(self._name, PASSWORD)
            imap.select("INBOX")
            found = []
            for number in imap.search(None, "ALL")[1][0].split():
                held = imap.fetch(number.decode(), "(BODY.PEEK[])")[1][0]
                assert isinstance(held, tuple)
                mail: Message = message_from_bytes(held[1], policy=default)
                assert isinstance(mail, EmailMessage)
                found.append(mail)
            return found


def text_of(mail: EmailMessage) -> str:
    """Return what a message says to whoever reads plain text."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")
