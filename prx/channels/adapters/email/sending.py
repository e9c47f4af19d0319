"""Mail that the bot sends."""

import re
import ssl
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from typing import Final

import aiosmtplib

from prx.channels.adapters.email.reading import Thread
from prx.channels.reach import tls_context, unreachable
from prx.config.platforms.email import EmailConfig
from prx.core.channel import OutgoingMessage
from prx.core.channel_errors import AuthenticationError, UndeliverableError
from prx.core.errors import PrxError, UnavailableError

_SECS: Final = 20.0
_MAX_SUBJECT: Final = 78
_FIRST_PERMANENT: Final = 500
_ADDRESS: Final = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")


class UnreachedError(UnavailableError):
    """The server that mail is sent by cannot be reached, whatever the mail."""


def mail_of(message: OutgoingMessage, config: EmailConfig) -> EmailMessage:
    """Return what is to be said as a message in its thread, which no program answers.

    Raises:
        UndeliverableError: what is said cannot be a message.
    """
    if not _ADDRESS.fullmatch(message.conversation):
        raise UndeliverableError(f'"{message.conversation}" is no address')
    mail = EmailMessage()
    mail["From"] = formataddr((config.name, config.address))
    mail["To"] = message.conversation
    mail["Date"] = formatdate()
    domain = config.address.rpartition("@")[2]
    mail["Message-ID"] = make_msgid(domain=domain) if message.key is None else f"<{message.key}@{domain}>"
    mail["Auto-Submitted"] = "auto-replied"
    mail["X-Auto-Response-Suppress"] = "All"
    thread = Thread.unpacked(message.reply_to) if message.reply_to is not None else None
    if thread is not None:
        mail["In-Reply-To"] = thread.message_id
        mail["References"] = " ".join([*thread.references, thread.message_id])
        subject = thread.subject
        mail["Subject"] = subject if subject.lower().startswith("re:") else f"Re: {subject}".strip()
    else:
        mail["Subject"] = " ".join(message.text.split())[:_MAX_SUBJECT]
    mail.set_content(message.text)
    if message.formatted is not None:
        mail.add_alternative(message.formatted, subtype="html")
    for file in message.files:
        main, _, sub = file.media_type.partition("/")
        mail.add_attachment(file.content, maintype=main, subtype=sub or "octet-stream", filename=file.name)
    return mail


async def deliver(mail: EmailMessage, config: EmailConfig) -> None:
    """Hand a message to the server.

    Raises:
        UndeliverableError: it will never take it.
        AuthenticationError: it does not know user or password.
        UnreachedError: it is not there.
        UnavailableError: it does not take it now.
    """
    server = await _server(config)
    try:
        async with server:
            await server.send_message(mail)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _translated(error, config) from error


async def check(config: EmailConfig) -> None:
    """Log in, and send nothing. Raises as `deliver`."""
    server = await _server(config)
    try:
        async with server:
            await server.noop()
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _translated(error, config) from error


async def _server(config: EmailConfig) -> aiosmtplib.SMTP:
    context: ssl.SSLContext | None = None
    if config.smtp_security != "none":
        context = await tls_context(config.tls_ca)
    return aiosmtplib.SMTP(
        hostname=config.smtp_host,
        port=config.smtp_port,
        use_tls=config.smtp_security == "tls",
        start_tls=config.smtp_security == "starttls",
        tls_context=context,
        username=config.user or config.address,
        password=config.password.get_secret_value(),
        timeout=_SECS,
    )


def _translated(error: Exception, config: EmailConfig) -> PrxError:
    match error:
        case aiosmtplib.SMTPAuthenticationError() if error.code >= _FIRST_PERMANENT:
            return AuthenticationError(
                f"the SMTP server refuses the login: {error.message}; check user and password"
            )
        case aiosmtplib.SMTPRecipientsRefused():
            refused = error.recipients[0]
            words = f"the SMTP server refuses the recipient: {refused.code} {refused.message}"
            return _refusal(refused.code, words)
        case aiosmtplib.SMTPResponseException():
            return _refusal(error.code, f"the SMTP server answers {error.code} {error.message}")
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPServerDisconnected() | OSError():
            cause, tls = error.__cause__ or error, config.smtp_security == "tls"
            why = unreachable(config.smtp_host, config.smtp_port, cause, tls=tls)
            # One that ends a connection later may do so for the sake of a single mail.
            return UnreachedError(why.message) if isinstance(error, aiosmtplib.SMTPConnectError) else why
        case _:
            return UnavailableError(f"mail cannot be sent: {error}")


def _refusal(code: int, words: str) -> PrxError:
    return UndeliverableError(words) if code >= _FIRST_PERMANENT else UnavailableError(words)
