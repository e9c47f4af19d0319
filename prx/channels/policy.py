"""Who is heard: decided for every platform here, before anything reaches the agent."""

from typing import Final, Literal

from prx.config.channels import ChannelConfig
from prx.core.channel import IncomingMessage

Judgement = Literal["heard", "ignored", "stranger", "unwelcome"]
"""A `stranger` may not talk, and may ask to be let in; who is `unwelcome` may not do that, either."""

EVERYBODY: Final = "*"


def judge(message: IncomingMessage, config: ChannelConfig) -> Judgement:
    """Tell what a channel makes of whoever sent a message, and of where."""
    if message.is_self or (message.is_bot and not config.listen_to_bots):
        return "ignored"
    policy = config.group_policy if message.is_group else config.dm_policy
    if policy == "disabled":
        return "ignored"
    if message.is_group and config.mention_only and not message.mentioned:
        return "ignored"
    if policy == "open" or is_allowed(message, config):
        return "heard"
    return "unwelcome" if message.is_group or message.is_bot or not config.pairing else "stranger"


def welcomes(sender: str, config: ChannelConfig, *, is_group: bool) -> bool:
    """Tell whether somebody may talk over a channel, or ask to be let in, before they said anything."""
    said = IncomingMessage(conversation="", sender=sender, text="", is_group=is_group, mentioned=True)
    return judge(said, config) in ("heard", "stranger")


def is_allowed(message: IncomingMessage, config: ChannelConfig) -> bool:
    """Tell whether `allowed_users` names the sender, or everybody."""
    names = {message.sender, *message.sender_aliases}
    return any(user == EVERYBODY or user in names for user in config.allowed_users)
