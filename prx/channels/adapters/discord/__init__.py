"""Discord, over its gateway and its REST API."""

from prx.channels.adapters.discord.adapter import DiscordAdapter
from prx.config.platforms.discord import DiscordConfig


def connect(name: str, config: DiscordConfig) -> DiscordAdapter:
    """Return the adapter of one life of the channel `name`."""
    return DiscordAdapter(name, config)
