"""IRC, spoken without a library: the protocol is lines of text."""

from prx.channels.adapters.irc.adapter import IrcAdapter
from prx.config.platforms.irc import IrcConfig


def connect(_name: str, config: IrcConfig) -> IrcAdapter:
    """Make the adapter of a channel, for one life."""
    return IrcAdapter(config)
