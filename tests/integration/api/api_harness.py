"""The whole port, on a real socket: real tokens, real tools, a clock that the test turns."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import Any

from aiohttp import ClientSession, web

from prx.agent.agent import Agent
from prx.agent.sessions import Sessions
from prx.agent.skills import Skills
from prx.api.deps import ApiDeps, Figures
from prx.api.server import ApiRunner
from prx.api.tokens import TokenStore
from prx.channels.admission import Admission
from prx.channels.manager import Channels
from prx.config.integrations import HooksConfig, McpConfig
from prx.config.live import LiveConfig
from prx.config.schema import AgentConfig, Config
from prx.config.sources import Sources
from prx.core.outbox import NoOutbox
from prx.core.tool import CallContext, Receipt, ToolFailure, ToolResult, ToolSpec
from prx.mcp.client.manager import McpServers
from prx.mcp.server.endpoint import McpEndpoint
from prx.plugins.catalogue import Catalogue
from prx.runtime.bus import Bus
from prx.runtime.logs.book import LogBook
from prx.runtime.metrics import Metrics
from prx.runtime.status import StatusBoard
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from prx.runtime.tools import ToolRouter
from prx.webhooks.service import Webhooks
from tests.support.agents import no_agent
from tests.support.channels import inbox_of, no_services
from tests.support.conformance import DOCUMENTED


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The envelope's content, after checking that it is one."""
        document = self.json()
        assert list(document) == ["error"]
        assert list(document["error"]) == ["code", "message", "details"]
        assert self.headers["Content-Type"].startswith("application/json")
        details = document["error"]["details"]
        assert details is None or isinstance(details, dict)
        return document["error"]


def no_sessions() -> Sessions:
    """Return sessions that have no store: there are none, and none can begin."""
    return Sessions(Store(Path("nowhere")), Bus(), NoOutbox(), AgentConfig)


def no_servers() -> McpServers:
    """Return MCP servers of an empty configuration, which store nothing."""
    return McpServers(McpConfig, Store(Path("unused.db")), Path(), Supervisor(), ToolRouter(Bus()), Bus())


@dataclass
class Api:
    """One running port, and everything behind it."""

    tokens: TokenStore
    catalogue: Catalogue
    router: ToolRouter
    log: LogBook
    bus: Bus
    live: LiveConfig
    skills: Skills = field(default_factory=lambda: Skills(list))
    metrics: Metrics = field(default_factory=Metrics)
    mcp_servers: McpServers = field(default_factory=no_servers)
    channels: Channels = field(default_factory=lambda: Channels(dict, Supervisor(), Bus(), no_services()))
    admission: Admission | None = None
    sessions: Sessions = field(default_factory=no_sessions)
    agent: Agent = field(default_factory=lambda: no_agent(no_sessions()))
    webhooks: Webhooks = field(
        default_factory=lambda: Webhooks(Store(Path("none")), Path("none"), Bus(), list, HooksConfig)
    )
    board: StatusBoard = field(default_factory=StatusBoard)
    config: Config = field(default_factory=Config)
    figures: Figures = field(default_factory=Figures)
    supervisor: Supervisor = field(default_factory=Supervisor)
    mcp_options: dict[str, Any] = field(default_factory=dict)
    now: float = 1000.0
    port: int = 0
    session: ClientSession | None = None
    token: str = ""
    app: web.Application | None = None
    runner: ApiRunner | None = None

    def configure(self, **gateway: Any) -> None:
        """Make a new configuration current, as a reload does."""
        self.config = Config.model_validate({"gateway": gateway})

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | EllipsisType | None = ...,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Reply:
        """Send one request, by default with a token that may do everything; the answer has to be a documented one."""
        secret = self.token if token is ... else token
        sent = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        url = f"http://127.0.0.1:{self.port}{path}"
        assert self.session is not None
        async with self.session.request(method, url, headers={**sent, **(headers or {})}, **more) as response:
            reply = Reply(response.status, response.headers, await response.read())
        DOCUMENTED.check(method, path, reply.status, reply.headers, reply.body)
        return reply

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.call("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Reply:
        return await self.call("POST", path, **more)

    async def raw(self, sent: bytes) -> list[Reply]:
        """Send bytes, and return every answer until the daemon closes the connection."""
        return list(_replies(await self.raw_bytes(sent)))

    async def raw_bytes(self, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


def _replies(received: bytes) -> list[Reply]:
    replies = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("Content-Length", 0))
        replies.append(Reply(int(first.split()[1]), headers, received[:length]))
        received = received[length:]
    return replies


class Echo:
    """A small real tool: gives back its text, or fails as its arguments say."""

    spec = ToolSpec(
        name="echo",
        description="Give back a text",
        parameters={
            "type": "object",
            "properties": {"text": {"type": "string"}, "fail": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
        source="builtin",
    )

    def __init__(self) -> None:
        self.contexts: list[CallContext] = []

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        self.contexts.append(context)
        receipt = Receipt(
            fuel_used=None, wall_ms=1.5, guest_ms=1.0, peak_memory_bytes=65536,
            host_calls=2, http_requests=0, bytes_in=3, bytes_out=4,
        )  # fmt: skip
        if "fail" in arguments:
            failure = ToolFailure(arguments["fail"], arguments["text"])
            return ToolResult(error=failure, receipt=receipt)
        return ToolResult(output=arguments["text"], receipt=receipt)


class Scripted:
    """A tool that does what the test says."""

    def __init__(self, name: str, act: Callable[[], Awaitable[ToolResult]]) -> None:
        self.spec = ToolSpec(name, "Does what the test says", {"type": "object"}, "builtin")
        self._act = act

    async def call(self, _arguments: Mapping[str, Any], _context: CallContext) -> ToolResult:
        return await self._act()


def live_config(home: Path) -> LiveConfig:
    """Return the configuration of a daemon that keeps everything in `home`."""
    file = home / "prx.toml"
    file.write_text(
        f"[daemon]\ndata_dir = '{home}'\n[memory]\ntop_k = 7\n[channels_config.x]\nbot_token = 'hunter2'\n"
    )
    return LiveConfig(Sources(file, (), {"PRX__AGENT__MAX_TURNS": "9"}))


def no_admission(harness: Api) -> Admission:
    """Return what lets nobody in: there is no store that they could wait in."""
    inbox, pairings = inbox_of(Store(Path("none")), harness.agent, harness.sessions, dict)
    return Admission(pairings, harness.live, inbox)


def deps_of(harness: Api) -> ApiDeps:
    return ApiDeps(
        tokens=harness.tokens,
        router=harness.router,
        plugins=harness.catalogue,
        skills=harness.skills,
        channels=harness.channels,
        admission=harness.admission or no_admission(harness),
        sessions=harness.sessions,
        agent=harness.agent,
        webhooks=harness.webhooks,
        mcp_servers=harness.mcp_servers,
        status=harness.board,
        metrics=harness.metrics,
        log=harness.log,
        bus=harness.bus,
        config=lambda: harness.config,
        live=harness.live,
        figures=lambda: harness.figures,
        mcp_endpoint=McpEndpoint(harness.router, harness.supervisor, **harness.mcp_options),
        clock=lambda: harness.now,
    )


@asynccontextmanager
async def serving(
    harness: Api, app: web.Application, *, max_connections: int | None = None
) -> AsyncIterator[Api]:
    """Serve `app` on a free port for the length of the block."""
    runner = ApiRunner(app, shutdown_timeout=5, max_connections=max_connections)
    harness.app, harness.runner = app, runner
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        harness.port = runner.addresses[0][1]
        harness.board.set_ready(ready=True)
        async with ClientSession() as session:
            harness.session = session
            yield harness
    finally:
        await runner.cleanup()
        await harness.supervisor.aclose()
