"""The keys of channels to Slack."""

from prx.config.addresses import BaseUrl
from prx.config.channels import PlatformConfig
from prx.config.types import Secret, hot


class SlackConfig(PlatformConfig):
    """A bot of a Slack app, over Socket Mode."""

    bot_token: Secret = hot("The bot's token, which begins with xoxb-.")
    app_token: Secret = hot("The app's token with the scope connections:write, which begins with xapp-.")
    reply_in_threads: bool = hot(
        "In channels answer in a thread below the message; each thread is a conversation of its own.",
        default=True,
    )
    base_url: BaseUrl = hot("Where the Web API is.", "https://slack.com/api")
