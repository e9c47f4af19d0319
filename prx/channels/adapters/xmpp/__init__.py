"""XMPP, by way of slixmpp."""

from prx.channels.adapters.xmpp.adapter import XmppAdapter
from prx.config.platforms.xmpp import XmppConfig


def connect(_name: str, config: XmppConfig) -> XmppAdapter:
    """Make the adapter of a channel, for one life."""
    return XmppAdapter(config)
