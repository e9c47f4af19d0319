"""What `prx channel doctor` says about an app of Slack."""

from collections.abc import Sequence
from typing import Final

from prx.channels.adapters.slack.api import WebApi
from prx.config.keys import dotted
from prx.config.platforms.slack import SlackConfig
from prx.core.channel import Finding
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PrxError

_APPS: Final = "https://api.slack.com/apps"
_SCOPES: Final = {
    "app_mentions:read": "hear who mentions it",
    "channels:history": "read public channels",
    "chat:write": "answer",
    "files:read": "fetch files",
    "files:write": "send files",
    "groups:history": "read private channels",
    "im:history": "read direct messages",
    "mpim:history": "read group messages",
}


async def find(api: WebApi, name: str, config: SlackConfig) -> Sequence[Finding]:
    """Look at both tokens, and at what the bot may do."""
    table = dotted(("channels_config", name))
    findings = []
    try:
        me = await api.call("auth.test")
        findings.append(Finding(f"The bot's token is that of {me['user']} in {me['team']}"))
        scopes = await api.scopes()
        missing = [scope for scope in _SCOPES if scope not in scopes]
        if missing:
            lacks = ", ".join(f"{scope} ({_SCOPES[scope]})" for scope in missing)
            remedy = f"add them at {_APPS}, OAuth & Permissions, Bot Token Scopes, and install the app anew"
            findings.append(Finding(f"The bot lacks {lacks}", remedy))
    except AuthenticationError:
        remedy = f"take it from {_APPS}, OAuth & Permissions, and set {table}.bot_token"
        findings.append(Finding("Slack does not know the bot's token", remedy))
    except PrxError as error:
        return [*findings, Finding(error.message, f"see that this machine reaches {config.base_url}")]
    try:
        await api.socket_url()
        findings.append(Finding("The app's token allows Socket Mode"))
    except AuthenticationError:
        remedy = f"make one at {_APPS}, Basic Information, App-Level Tokens, and set {table}.app_token"
        findings.append(Finding("Slack does not know the app's token", remedy))
    except PrxError as error:
        remedy = f"switch it on at {_APPS}, Socket Mode, and give the app's token the scope connections:write"
        findings.append(Finding(f"Socket Mode is not allowed: {error.message}", remedy))
    return findings
