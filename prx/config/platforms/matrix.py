"""The keys of channels over Matrix."""

from typing import Literal, Self

from pydantic import model_validator

from prx.config.addresses import BaseUrl
from prx.config.channels import PlatformConfig
from prx.config.types import Secret, hot

JoinInvites = Literal["allowed", "all", "none"]


class MatrixConfig(PlatformConfig):
    """Matrix: [channels/matrix.md](channels/matrix.md)."""

    homeserver: BaseUrl = hot("Address of the homeserver.", pattern=r"^https?://[^\s/?#@]+/?$")
    user: str | None = hot(
        "The bot's account, `@bot:example.org` or `bot`; needed with `password`.", None, min_length=1
    )
    password: Secret | None = hot("Its password, for one login: the session it gives is kept.", None)
    access_token: Secret | None = hot(
        "Token of a session that is there already, instead of a password.", None
    )
    device_name: str = hot("What the list of sessions calls the bot's.", "PRX", min_length=1, max_length=100)
    encryption: bool = hot("Whether to read and write in encrypted rooms.", default=True)
    join_invites: JoinInvites = hot(
        "Whose invites are accepted: those of `allowed_users`, and to a direct chat of whoever may ask to be let in; "
        "everybody's; nobody's.",
        "allowed",
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if (self.password is None) == (self.access_token is None):
            raise ValueError("set either password or access_token")
        if self.password is not None and self.user is None:
            raise ValueError("password needs a user")
        return self
