"""What the API is built from, and under which keys its views find it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

from prx.agent.agent import Agent
from prx.agent.sessions import Sessions
from prx.agent.skills import Skills
from prx.api.event_stream import EventFeed
from prx.api.log_stream import LogFeed
from prx.api.openapi import Document
from prx.api.sse import Streams
from prx.api.tokens import TokenStore
from prx.api.tokens_file import Token
from prx.api.turn import Shared
from prx.channels.admission import Admission
from prx.channels.manager import Channels
from prx.config.live import LiveConfig
from prx.config.schema import Config
from prx.mcp.client.manager import McpServers
from prx.mcp.server.endpoint import McpEndpoint
from prx.plugins.catalogue import Catalogue
from prx.runtime.bus import Bus
from prx.runtime.logs.book import LogBook
from prx.runtime.metrics import Metrics
from prx.runtime.status import StatusBoard
from prx.runtime.tools import ToolRouter
from prx.webhooks.service import Webhooks

if TYPE_CHECKING:
    from prx.api.sockets import Sockets


class Figures(NamedTuple):
    """Numbers of `GET /status` that other parts of the daemon keep."""

    channels_connected: int = 0
    memory_entries: int = 0
    config_version: int = 1
    restart_required: bool = False


@dataclass(frozen=True, slots=True)
class ApiDeps:
    """Everything that the API stands on.

    `config` and `figures` are asked at each request: they must not block.
    """

    tokens: TokenStore
    router: ToolRouter
    plugins: Catalogue
    skills: Skills
    channels: Channels
    admission: Admission
    sessions: Sessions
    agent: Agent
    webhooks: Webhooks
    mcp_servers: McpServers
    status: StatusBoard
    metrics: Metrics
    log: LogBook
    bus: Bus
    config: Callable[[], Config]
    live: LiveConfig
    figures: Callable[[], Figures]
    mcp_endpoint: McpEndpoint
    clock: Callable[[], float] = time.monotonic
    """Seconds that never go back; what the rate limits are measured by."""


ADMISSION: Final = web.AppKey("ADMISSION", Admission)
AGENT: Final = web.AppKey("AGENT", Agent)
CHANNELS: Final = web.AppKey("CHANNELS", Channels)
CONFIG: Final[web.AppKey[Callable[[], Config]]] = web.AppKey("CONFIG")
DOCUMENT: Final = web.AppKey("DOCUMENT", Document)
EVENTS: Final = web.AppKey("EVENTS", EventFeed)
LIVE: Final = web.AppKey("LIVE", LiveConfig)
GLANCE: Final[web.AppKey[Shared[bytes]]] = web.AppKey("GLANCE")
"""What `GET /status` answers: many who ask at once get the same."""
MCP: Final = web.AppKey("MCP", McpEndpoint)
LOG: Final = web.AppKey("LOG", LogFeed)
METRICS: Final = web.AppKey("METRICS", Metrics)
MCP_SERVERS: Final = web.AppKey("MCP_SERVERS", McpServers)
PLUGINS: Final = web.AppKey("PLUGINS", Catalogue)
ROUTER: Final = web.AppKey("ROUTER", ToolRouter)
SESSIONS: Final = web.AppKey("SESSIONS", Sessions)
SKILLS: Final = web.AppKey("SKILLS", Skills)
STATUS: Final = web.AppKey("STATUS", StatusBoard)
SOCKETS: Final[web.AppKey["Sockets"]] = web.AppKey("SOCKETS")
STREAMS: Final = web.AppKey("STREAMS", Streams)
WEBHOOKS: Final = web.AppKey("WEBHOOKS", Webhooks)
REQUEST_ID: Final = web.RequestKey("REQUEST_ID", str)
TOKEN: Final = web.RequestKey("TOKEN", Token)
"""The token that a request was let in with."""
