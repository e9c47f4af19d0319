"""What is answered about MCP servers."""

from typing import Any, NotRequired

from prx.api.bodies import Answer, Moment
from prx.mcp.client.unit import TransportName
from prx.mcp.client.view import Status


class ListedServer(Answer):
    """An MCP server in a list."""

    name: str
    transport: TransportName
    status: Status
    tools: list[str]
    """What is offered of it, under its own names; while it is not connected, what it had before."""
    connected_at: NotRequired[Moment]
    """Since when; only while it is connected."""
    error: NotRequired[str]
    """Why it is not connected, where something is wrong."""


class ServerList(Answer):
    """Every configured MCP server."""

    servers: list[ListedServer]


class ServerDetail(ListedServer):
    """One MCP server in full."""

    enabled: bool
    """Whether the configuration wants it."""
    restarts: int
    """How often it was connected or tried again since it was configured."""
    offered: dict[str, str]
    """Under which name each tool can be called."""
    skipped: dict[str, str]
    """Which tools are not offered, and why."""
    command: NotRequired[str]
    url: NotRequired[str]
    """Without user, password and query."""
    pid: NotRequired[int]
    protocol_version: NotRequired[str]
    server: NotRequired[dict[str, Any]]
    """What it says of itself."""
    capabilities: NotRequired[dict[str, Any]]
    instructions: NotRequired[str]


class ServerStatus(Answer):
    """How an MCP server is once something was asked of it."""

    name: str
    status: Status
