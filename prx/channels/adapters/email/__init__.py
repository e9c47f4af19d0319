"""Email: read over IMAP, which pushes by IDLE, and sent over SMTP by way of aiosmtplib."""

from prx.channels.adapters.email.adapter import EmailAdapter
from prx.config.platforms.email import EmailConfig


def connect(_name: str, config: EmailConfig) -> EmailAdapter:
    """Make the adapter of a channel, for one life."""
    return EmailAdapter(config)
