"""The keys of channels to Discord."""

from prx.config.addresses import BaseUrl
from prx.config.channels import PlatformConfig
from prx.config.types import Secret, hot


class DiscordConfig(PlatformConfig):
    """A bot of Discord."""

    bot_token: Secret = hot("The bot's token, from the developer portal.")
    message_content: bool = hot(
        "Ask for the texts of messages that do not mention the bot (Message Content Intent, which the portal allows).",
        default=True,
    )
    base_url: BaseUrl = hot("Where the REST API is.", "https://discord.com/api/v10")
