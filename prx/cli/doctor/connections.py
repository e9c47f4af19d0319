"""What the daemon is configured to connect to: whether it could."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prx.channels.registry import ADAPTERS
from prx.cli.doctor.findings import Finding, Site
from prx.cli.output import moment
from prx.config.channels import ChannelConfig
from prx.config.integrations import McpServerConfig
from prx.config.keys import dotted
from prx.core.errors import PrxError
from prx.mcp.client.oauth.logins import LoginFile, login_command

MCP_UNIT: Final = "mcp."


def mcp_servers(site: Site) -> Iterator[Finding]:
    """Tell which servers are not connected and why; where no daemon runs, whether programs and logins are there."""
    if site.ask is not None:
        for problem in site.ask("/status")["problems"]:
            if problem["unit"].startswith(MCP_UNIT):
                name = problem["unit"].removeprefix(MCP_UNIT)
                why = f"its tools cannot be called since {moment(problem['since'])}"
                yield Finding(f'the MCP server "{name}": {problem["reason"]}', why, problem["action"])
        return
    for name, server in site.config.mcp.servers.items():
        if not server.enabled:
            continue
        key = dotted(("mcp", "servers", name))
        if server.url is not None:
            yield from _login(name, server.url, site.data_dir)
        if server.command is not None and server.transport in (None, "stdio"):
            yield from _program(key, name, server, server.command)


def _login(name: str, url: str, data_dir: Path) -> Iterator[Finding]:
    try:
        LoginFile(data_dir).find(name, url)
    except PrxError as error:
        yield Finding(
            f'the MCP server "{name}": {error.message}',
            "it stays disconnected",
            f"{login_command(name)}, where that does not say otherwise",
        )


def channels(site: Site) -> Iterator[Finding]:
    """Find channels that nobody may talk to, and those that cannot connect, where no daemon runs that tells it."""
    for name, channel in site.config.channels_config.items():
        if not channel.enabled:
            continue
        table = dotted(("channels_config", name))
        kind = channel.type or name
        if site.ask is None and kind not in ADAPTERS:
            yield Finding(
                f'{table}: this PRX has no adapter for channels of the type "{kind}"',
                "unless a plugin brings it, it stays disconnected, and the daemon is degraded",
                f"correct {table}.type, load the plugin that brings it, or set {table}.enabled to false",
            )
        if not _has_listeners(channel):
            yield Finding(
                f"{table}: nobody may talk to it",
                "messages are left unanswered: allowed_users is empty, and no policy is open",
                f"list who may in {table}.allowed_users, or set a policy to open",
                "advice",
            )


def webhooks(site: Site) -> Iterator[Finding]:
    """Find webhooks whose deliveries nobody can verify."""
    for number, endpoint in enumerate(site.config.hooks.endpoints):
        if endpoint.enabled and endpoint.secret is None:
            key = f"hooks.endpoints.{number}"
            yield Finding(
                f"{key}: it has no secret",
                "the daemon signs with one that nobody knows, so the receiver cannot tell who posts",
                f"set {key}.secret to whsec_ and what `openssl rand -base64 32` prints",
                "advice",
            )


def _program(key: str, name: str, server: McpServerConfig, command: str) -> Iterator[Finding]:
    why = f'the MCP server "{name}" cannot start, and its tools are missing'
    if server.cwd is not None and not server.cwd.is_dir():
        yield Finding(f"{key}.cwd: there is no directory {server.cwd}", why, "make it, or set another")
    path = server.env["PATH"].get_secret_value() if "PATH" in server.env else os.environ.get("PATH")
    wanted = str((server.cwd or Path.cwd()) / command) if "/" in command else command
    if shutil.which(wanted, path=path) is None:
        where = "cannot be executed" if "/" in command else "is not on the PATH"
        yield Finding(
            f"{key}.command: the program {command} {where}",
            why,
            "install it, or set the command to its absolute path",
        )


def _has_listeners(channel: ChannelConfig) -> bool:
    policies = {channel.dm_policy, channel.group_policy}
    return "open" in policies or ("allowlist" in policies and bool(channel.allowed_users))
