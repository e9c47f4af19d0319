"""The keys of channels to Telegram."""

from prx.config.addresses import BaseUrl
from prx.config.channels import PlatformConfig
from prx.config.types import Secret, hot


class TelegramConfig(PlatformConfig):
    """A bot of Telegram."""

    bot_token: Secret = hot("The bot's token, as @BotFather gave it.")
    base_url: BaseUrl = hot("Where the Bot API is, for who runs a server of it.", "https://api.telegram.org")
