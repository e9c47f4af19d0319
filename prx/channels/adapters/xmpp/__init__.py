"""XMPP, by way of slixmpp."""

from prx.channels.adapters.xmpp.adapter import XmppAdapter
from prx.config.platforms.xmpp import XmppConfig
from prx.runtime.logging import quieten

# At the level debug it logs whole stanzas: messages, and what the bot logs in with.
quieten("slixmpp")


def connect(_name: str, config: XmppConfig) -> XmppAdapter:
    """Make the adapter of a channel, for one life."""
    return XmppAdapter(config)
