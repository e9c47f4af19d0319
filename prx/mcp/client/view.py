"""What is known of a server, for whoever shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from prx.config.integrations import McpServerConfig
from prx.config.redaction import without_userinfo
from prx.mcp.client.unit import McpServer, TransportName, transport_of

Status = Literal["connecting", "connected", "reconnecting", "disconnected", "disabled", "needs_auth"]


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server as it is now. What does not apply is None or empty."""

    name: str
    transport: TransportName
    status: Status
    tools: Sequence[str]
    """What is offered of it, under the server's own names; while it is not connected, what it had before."""
    connected_at: datetime | None
    error: str | None
    """Why it is not connected."""
    enabled: bool
    """Whether the configuration wants it."""
    restarts: int
    """How often it was connected or tried again since it was configured."""
    offered: Mapping[str, str]
    """Under which name each tool can be called."""
    skipped: Mapping[str, str]
    """Which tools are not offered, and why."""
    command: str | None
    url: str | None
    """Without what may be secret in it."""
    pid: int | None
    protocol_version: str | None
    server_info: Mapping[str, Any] | None
    capabilities: Mapping[str, Any] | None
    instructions: str | None

    @classmethod
    def of(
        cls, name: str, config: McpServerConfig, unit: McpServer | None, status: Status, restarts: int
    ) -> Self:
        """Look at `unit`, which runs for the server `name`, if one does."""
        connection = None if unit is None else unit.connection
        return cls(
            name=name,
            transport=transport_of(config),
            status=status,
            tools=[] if unit is None else unit.offers.names(),
            connected_at=None if unit is None else unit.connected_at,
            error=None if unit is None or status in ("connected", "disabled") else unit.fault,
            enabled=config.enabled,
            restarts=restarts,
            offered={} if unit is None else unit.offers.offered(),
            skipped={} if unit is None else unit.offers.skipped(),
            command=config.command,
            url=None if config.url is None else _shown_url(config.url),
            pid=None if connection is None else connection.pid,
            protocol_version=None if connection is None else connection.protocol_version,
            server_info=None if connection is None else connection.server_info,
            capabilities=None if connection is None else connection.capabilities,
            instructions=None if connection is None else connection.instructions,
        )


def _shown_url(url: str) -> str:
    try:
        return without_userinfo(urlsplit(url)._replace(query="", fragment="").geturl())
    except ValueError:
        return without_userinfo(url)
