"""What `prx channel doctor` says about a bot of Telegram."""

from collections.abc import Sequence

from prx.channels.adapters.telegram.api import BotApi
from prx.config.keys import dotted
from prx.config.platforms.telegram import TelegramConfig
from prx.core.channel import Finding
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PrxError


async def find(api: BotApi, name: str, config: TelegramConfig) -> Sequence[Finding]:
    """Look at the token, at who else receives the bot's messages, and at what it sees in groups."""
    table = dotted(("channels_config", name))
    try:
        me = await api.call("getMe")
        webhook = await api.call("getWebhookInfo")
    except AuthenticationError:
        remedy = f"take it from @BotFather (/mybots, API Token) and set {table}.bot_token"
        return [Finding("Telegram does not know the bot's token", remedy)]
    except PrxError as error:
        return [Finding(error.message, f"see that this machine reaches {config.base_url}")]
    findings = [Finding(f"The token is that of @{me['username']}")]
    if webhook.get("url"):
        findings.append(
            Finding(
                "Another program has Telegram send it the bot's messages (a webhook); this channel ends that",
                "give PRX a bot of its own, unless the other program is gone",
            )
        )
    sees_mentions_only = not me.get("can_read_all_group_messages", False)
    if sees_mentions_only and not config.mention_only and config.group_policy != "disabled":
        findings.append(
            Finding(
                "In groups Telegram shows the bot only commands, mentions and replies (privacy mode)",
                f"if that is what you want, set {table}.mention_only to true; else send @BotFather /setprivacy, "
                "choose Disable, and add the bot to its groups anew",
            )
        )
    return findings
