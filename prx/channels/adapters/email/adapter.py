"""A mailbox that is read, and answered from."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import Final

from prx.channels.adapter import Adapter
from prx.channels.adapters.email.imap import Imap, Mailbox, logged_in
from prx.channels.adapters.email.reading import content, files, message_of, parsed
from prx.channels.adapters.email.sending import UnreachedError, check, deliver, mail_of
from prx.config.platforms.email import EmailConfig
from prx.core.channel import Attachment, Capabilities, ChannelContext, Finding, OutgoingMessage, Server
from prx.core.channel_errors import AuthenticationError, FileTooLargeError, UndeliverableError
from prx.core.errors import PermanentError, PrxError, UnavailableError
from prx.runtime.logging import get_logger

_CADENCE_SECS: Final = 6.0
_MAX_MAIL_BYTES: Final = 30 * 2**20
_MAX_FILE_BYTES: Final = 15 * 2**20

_log = get_logger("channel::email")


class EmailAdapter(Adapter):
    """See `ChannelAdapter`. Its cursor is the number of the next message of the mailbox."""

    capabilities = Capabilities(
        max_length=100_000,
        markup="html",
        threads=True,
        max_file_bytes=_MAX_FILE_BYTES,
        attaches=True,
        max_download_bytes=_MAX_FILE_BYTES,
        cadence_secs=_CADENCE_SECS,
        idle_limit_secs=2 * _CADENCE_SECS,
    )

    def __init__(self, config: EmailConfig) -> None:
        """Open nothing yet."""
        self.account = f"email:{config.user or config.address}@{config.imap_host}/{config.mailbox}"
        self.server = Server(config.imap_host, config.imap_port, tls=config.imap_security == "tls")
        self._config = config
        self._imap: Imap | None = None
        self._mailbox: Mailbox | None = None
        self._fault: PrxError | None = None
        """Why no mail can be sent: what cannot be answered is not connected, however well it is read."""

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with logged_in(self._config, context.alive) as imap:
            # Second: SMTP servers that ask the IMAP server who a user is slow down where it is not there.
            await self._sending(check(self._config))
            mailbox = await imap.select(self._config.mailbox)
            next_uid = _next_uid(mailbox, await context.load_cursor())
            await context.save_cursor(_cursor(mailbox, next_uid))
            self._imap, self._mailbox = imap, mailbox
            context.connected()
            try:
                while self._fault is None:
                    for uid in await imap.uids(next_uid):
                        await self._take(imap, mailbox, uid, context)
                        next_uid = uid + 1
                        await context.save_cursor(_cursor(mailbox, next_uid))
                    context.alive()
                    await imap.wait(_CADENCE_SECS)
                    context.alive()
                raise self._fault
            finally:
                self._imap = None

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._connected().noop()
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.send`."""
        await self._sending(deliver(mail_of(message, self._config), self._config))

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """See `ChannelAdapter.fetch`."""
        validity, uid, number = map(int, attachment.id.split(":"))
        imap = self._connected()
        is_there = self._mailbox is not None and self._mailbox.validity == validity
        raw = await imap.fetch(uid) if is_there else None
        mail = await asyncio.to_thread(parsed, raw) if raw is not None else None
        found = dict(files(mail)).get(number) if mail is not None else None
        if found is None:
            raise UndeliverableError(f'"{attachment.name}" is not in the mailbox any more')
        held = content(found)
        if len(held) > max_bytes:
            raise FileTooLargeError(f'"{attachment.name}" has {len(held)} bytes, more than {max_bytes}')
        return held

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        config, findings = self._config, list[Finding]()
        try:
            async with logged_in(config) as imap:
                await imap.select(config.mailbox)
            findings.append(
                Finding(f'{config.imap_host}:{config.imap_port} shows the mailbox "{config.mailbox}"')
            )
            await check(config)
            findings.append(
                Finding(f"{config.smtp_host}:{config.smtp_port} takes mail from {config.address}")
            )
        except PermanentError as error:
            return [*findings, Finding(error.message, "set what it names right, then run this again")]
        except PrxError as error:
            return [
                *findings,
                Finding(error.message, "look at the host, the port and the security of that server"),
            ]
        return findings

    async def _sending(self, work: Awaitable[None]) -> None:
        """Use the server that mail is sent by; where that is not to be had, this life ends, to wait for it."""
        try:
            await work
        except (AuthenticationError, UnreachedError) as error:
            if isinstance(error, UnreachedError):
                tls = self._config.smtp_security == "tls"
                self.server = Server(self._config.smtp_host, self._config.smtp_port, tls=tls)
            self._fault = error
            if self._imap is not None:
                self._imap.interrupt()
            raise

    def _connected(self) -> Imap:
        if self._imap is None:
            raise UnavailableError("it is not connected")
        return self._imap

    async def _take(self, imap: Imap, mailbox: Mailbox, uid: int, context: ChannelContext) -> None:
        size = await imap.size(uid)
        if size is None:
            return
        if size > _MAX_MAIL_BYTES:
            _log.warning("a message is too large to be read", uid=uid, bytes=size)
            return
        raw = await imap.fetch(uid)
        context.alive()
        if raw is None:
            return
        mail = await asyncio.to_thread(parsed, raw)
        if mail is None:
            return
        place = f"{mailbox.validity}:{uid}"
        message = message_of(mail, place, self._config.address, self._config.require_authentication)
        if message is None:
            _log.info("a message of a program, or of nobody that is vouched for, is left alone", uid=uid)
            return
        await context.receive(message)
        if self._config.mark_seen:
            await imap.mark_seen(uid)


def _cursor(mailbox: Mailbox, next_uid: int) -> str:
    return json.dumps({"validity": mailbox.validity, "next": next_uid})


def _next_uid(mailbox: Mailbox, cursor: str | None) -> int:
    """Return the first message that is new: what lay in the mailbox before the channel was made is for nobody."""
    kept = json.loads(cursor) if cursor is not None else None
    if kept is None:
        return mailbox.next_uid
    if kept["validity"] != mailbox.validity:
        _log.warning("the mailbox was made anew; what came meanwhile is not read")
        return mailbox.next_uid
    return int(kept["next"])
