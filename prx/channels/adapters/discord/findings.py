"""What `prx channel doctor` says about a bot of Discord."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from prx.channels.adapters.discord.rest import RestApi
from prx.config.keys import dotted
from prx.config.platforms.discord import DiscordConfig
from prx.core.channel import Finding
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PrxError

_CONTENT_FLAGS: Final = 1 << 18 | 1 << 19
_ADMINISTRATOR: Final = 1 << 3
_PERMISSIONS: Final = {
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Attach Files": 1 << 15,
    "Read Message History": 1 << 16,
    "Send Messages in Threads": 1 << 38,
}
_FEW_LOGINS: Final = 50
_PORTAL: Final = "https://discord.com/developers/applications"
_MOST_SERVERS: Final = 20


async def find(rest: RestApi, name: str, config: DiscordConfig) -> Sequence[Finding]:
    """Look at the token, at the intent that lets the bot read, and at what it may do in each server."""
    table = dotted(("channels_config", name))
    try:
        me = await rest.call("GET", "/users/@me")
        application = await rest.call("GET", "/applications/@me")
        logins = (await rest.call("GET", "/gateway/bot"))["session_start_limit"]["remaining"]
        servers = await rest.call("GET", "/users/@me/guilds")
    except AuthenticationError:
        remedy = f"reset it in the developer portal ({_PORTAL}, Bot) and set {table}.bot_token"
        return [Finding("Discord does not know the bot's token", remedy)]
    except PrxError as error:
        return [Finding(error.message, f"see that this machine reaches {config.base_url}")]
    findings = [Finding(f"The token is that of {me['username']}")]
    if config.message_content and not application.get("flags", 0) & _CONTENT_FLAGS:
        findings.append(
            Finding(
                "The bot may not read messages that do not mention it (Message Content Intent)",
                f"allow it in the developer portal ({_PORTAL}, Bot), or set {table}.message_content to false",
            )
        )
    if logins < _FEW_LOGINS:
        findings.append(
            Finding(
                f"The bot may connect anew {logins} times more today",
                "see what else uses its token, and give PRX a bot of its own",
            )
        )
    return [*findings, *_of_servers(servers, application["id"])]


def _of_servers(servers: Sequence[Mapping[str, Any]], application: str) -> Iterator[Finding]:
    wanted = sum(_PERMISSIONS.values())
    invitation = (
        f"open https://discord.com/oauth2/authorize?client_id={application}&scope=bot&permissions={wanted}"
    )
    if not servers:
        yield Finding("The bot is in no server, so nobody can write to it", f"{invitation} and invite it")
    for server in servers[:_MOST_SERVERS]:
        given = int(server["permissions"])
        missing = [name for name, bit in _PERMISSIONS.items() if not given & (bit | _ADMINISTRATOR)]
        if missing:
            what = f'In the server "{server["name"]}" the bot lacks: {", ".join(missing)}'
            yield Finding(what, f"give them to its role there, or {invitation} to invite it anew")
