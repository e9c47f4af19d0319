"""The keys of channels over XMPP."""

from prx.config.channels import PlatformConfig
from prx.config.types import AbsolutePath, Secret, hot


class XmppConfig(PlatformConfig):
    """XMPP: [channels/xmpp.md](channels/xmpp.md)."""

    jid: str = hot("The bot's account.", pattern=r"^[^@\s/]+@[^@\s/]+$", max_length=500)
    password: Secret = hot("Its password.")
    host: str | None = hot("Host of the server; unset finds it by the account's domain.", None, min_length=1)
    port: int = hot("Its port, where `host` is set.", 5222, ge=1, le=65535)
    direct_tls: bool = hot("Speak TLS from the beginning, where `host` is set; else STARTTLS.", default=False)
    tls_ca: AbsolutePath | None = hot("PEM file with certificates to trust beside the system's.", None)
    nick: str = hot("Name of the bot in rooms.", "prx", min_length=1, max_length=100)
    rooms: tuple[str, ...] = hot(
        "Rooms to join; `room@conference.example.org password` for one that has one.", ()
    )
