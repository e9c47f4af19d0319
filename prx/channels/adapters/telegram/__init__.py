"""Telegram, over its Bot API."""

from prx.channels.adapters.telegram.adapter import TelegramAdapter
from prx.config.platforms.telegram import TelegramConfig


def connect(name: str, config: TelegramConfig) -> TelegramAdapter:
    """Return the adapter of one life of the channel `name`."""
    return TelegramAdapter(name, config)
