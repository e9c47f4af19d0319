"""Slack, over Socket Mode and its Web API."""

from prx.channels.adapters.slack.adapter import SlackAdapter
from prx.config.platforms.slack import SlackConfig


def connect(name: str, config: SlackConfig) -> SlackAdapter:
    """Return the adapter of one life of the channel `name`."""
    return SlackAdapter(name, config)
