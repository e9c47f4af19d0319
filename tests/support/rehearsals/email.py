"""Email: somebody with a mailbox at Postfix and Dovecot."""

import asyncio
from pathlib import Path
from typing import Any

from prx.core.ids import new_id
from tests.support.channel_kit import Rehearsal
from tests.support.mail_user import MailUser, text_of
from tests.support.servers.mail import DOMAIN, PASSWORD, MailServer


class EmailRehearsal(Rehearsal):
    """Each has mailboxes of its own, on a server that all share."""

    kind = "email"

    def __init__(self, server: MailServer, certificate: Path) -> None:
        self.server = server
        self._certificate = certificate
        self._bot = new_id("bot").lower()
        self.bot = f"{self._bot}@{DOMAIN}"
        self.ada = MailUser(server, new_id("ada").lower())

    def table(self) -> dict[str, Any]:
        return {
            "address": self.bot, "user": self._bot, "password": PASSWORD, "tls_ca": str(self._certificate),
            "imap_host": "127.0.0.1", "imap_port": self.server.imaps,
            "smtp_host": "127.0.0.1", "smtp_port": self.server.postfix.port,
        }  # fmt: skip

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"password": "hunter2"}

    async def say(self, text: str) -> None:
        await self.ada.write(self.bot, text)

    async def read(self) -> str:
        return text_of(await self.ada.read())

    async def start(self) -> None:
        await asyncio.to_thread(self.server.dovecot.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.dovecot.kill)

    async def freeze(self) -> None:
        self.server.dovecot.pause()

    async def thaw(self) -> None:
        self.server.dovecot.resume()
