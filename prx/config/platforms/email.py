"""The keys of channels over email."""

from typing import Literal

from prx.config.channels import PlatformConfig
from prx.config.types import AbsolutePath, Secret, hot

Security = Literal["tls", "starttls", "none"]


class EmailConfig(PlatformConfig):
    """Email: [channels/email.md](channels/email.md)."""

    address: str = hot("The bot's address: what is sent comes from it.", pattern=r"^[^@\s<>,]+@[^@\s<>,]+$")
    name: str = hot("Name beside that address.", "PRX", max_length=100)
    user: str | None = hot("Account at the mail server; unset takes the address.", None, min_length=1)
    password: Secret = hot("Its password, or one for applications.")
    imap_host: str = hot("Server that mail is read from.", min_length=1)
    imap_port: int = hot("Its port; 143 is usual with STARTTLS.", 993, ge=1, le=65535)
    imap_security: Security = hot("TLS from the beginning, by STARTTLS, or none.", "tls")
    smtp_host: str = hot("Server that mail is sent by.", min_length=1)
    smtp_port: int = hot("Its port; 465 is usual with TLS from the beginning.", 587, ge=1, le=65535)
    smtp_security: Security = hot("TLS from the beginning, by STARTTLS, or none.", "starttls")
    tls_ca: AbsolutePath | None = hot("PEM file with certificates to trust beside the system's.", None)
    mailbox: str = hot("Mailbox that is read.", "INBOX", pattern=r"^[ -~]+$", max_length=200)
    mark_seen: bool = hot("Mark as read what was taken.", default=True)
    require_authentication: str | None = hot(
        "Name of the mail server in its `Authentication-Results`: what it does not say `dmarc=pass` of is left "
        "alone. Unset believes the `From` of every message.",
        None,
        min_length=1,
    )
