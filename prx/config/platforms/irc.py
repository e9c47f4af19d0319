"""The keys of channels over IRC."""

import re
from typing import Final, Self

from pydantic import model_validator

from prx.config.channels import PlatformConfig
from prx.config.types import AbsolutePath, Secret, hot

_ROOM: Final = re.compile(r"[#&+!][^\s,\x00-\x20]+( [^\s,\x00-\x20]+)?")


class IrcConfig(PlatformConfig):
    """IRC: [channels/irc.md](channels/irc.md)."""

    server: str = hot("Host of the server.", min_length=1)
    port: int = hot("Its port; 6667 is usual without TLS.", 6697, ge=1, le=65535)
    tls: bool = hot("Whether to speak TLS.", default=True)
    tls_ca: AbsolutePath | None = hot("PEM file with certificates to trust beside the system's.", None)
    nick: str = hot(
        "Nick of the bot.", pattern=r"^[^\s:#&!@,*?\x00-\x20][^\s!@,*?\x00-\x20]*$", max_length=64
    )
    real_name: str = hot("What the server shows as its real name.", "PRX", min_length=1, max_length=100)
    rooms: tuple[str, ...] = hot("IRC channels to join; `#name key` for one that has a key.", ())
    server_password: Secret | None = hot("Password of the server itself.", None)
    sasl_user: str | None = hot("Account to log in to; unset takes the nick.", None, min_length=1)
    sasl_password: Secret | None = hot("Password of that account, for SASL PLAIN.", None)
    nickserv_password: Secret | None = hot("Password for NickServ, on networks without SASL.", None)
    line_burst: int = hot("Lines that are sent without a pause.", 4, ge=1, le=100)
    line_interval_ms: int = hot("Milliseconds between further lines.", 1000, ge=0, le=60_000)

    @model_validator(mode="after")
    def _has_rooms(self) -> Self:
        for room in self.rooms:
            if not _ROOM.fullmatch(room):
                raise ValueError(f'rooms: "{room}" is no IRC channel: one is `#name`, or `#name key`')
        return self
