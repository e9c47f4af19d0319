"""Real MCP servers as real processes, under a real supervisor, with their tools in a real router."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prx.config.integrations import McpConfig, McpServerConfig
from prx.core.sampling import Sampler
from prx.core.tool import CallContext, ToolResult
from prx.mcp.client.manager import McpServers
from prx.mcp.client.unit import Timing
from prx.mcp.client.view import ServerView
from prx.runtime.bus import Bus
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from prx.runtime.tools import ToolRouter
from prx.runtime.unit_status import RestartPolicy
from tests.support.waiting import PATIENCE_SECS, eventually

SCRIPT = Path(__file__).parents[1] / "components/mcp/scripted.py"
QUICK = RestartPolicy(first_pause_secs=0.02, most_pause_secs=0.1, max_restarts=None)
SLOW = RestartPolicy(first_pause_secs=60, most_pause_secs=60, max_restarts=None)


def scripted(*behaviour: str, **config: Any) -> McpServerConfig:
    """Return the configuration of a server that behaves so; see `tests/components/mcp/scripted.py`."""
    return McpServerConfig.model_validate(
        {"command": sys.executable, "args": ["-S", str(SCRIPT), *behaviour], **config}
    )


class McpHost:
    """Servers that a test configures, and what they do to the daemon around them."""

    def __init__(
        self, store: Store, servers: McpServers, router: ToolRouter, bus: Bus, supervisor: Supervisor
    ) -> None:
        """Use `mcp_host`."""
        self.store = store
        self.servers = servers
        self.router = router
        self.bus = bus
        self.supervisor = supervisor
        self.caller = CallContext(request_id="test")

    def view(self, name: str = "one") -> ServerView:
        """Return what is known of a server."""
        return self.servers.get(name)

    def tools(self) -> list[str]:
        """Return the names of everything that can be called."""
        return [spec.name for spec in self.router.specs()]

    async def until(
        self, status: str, name: str = "one", error: str = "", *, within_secs: float = PATIENCE_SECS
    ) -> ServerView:
        """Wait until the server has `status`, and an error that contains `error`."""
        try:
            await eventually(
                lambda: self.view(name).status == status and error in (self.view(name).error or ""),
                within_secs=within_secs,
            )
        except TimeoutError:
            raise AssertionError(
                f"{name} did not become {status} with error {error!r}: {self.view(name)}"
            ) from None
        return self.view(name)

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, **context: Any) -> ToolResult:
        """Call a tool through the router, by its whole name or by that of the server `one`."""
        name = tool if tool in self.tools() else f"mcp__one__{tool}"
        return await self.router.call(name, arguments or {}, CallContext(request_id="test", **context))

    async def output(self, tool: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call a tool that must succeed and return its output."""
        result = await self.call(tool, arguments)
        assert result.error is None, result.error
        return result.output


@asynccontextmanager
async def mcp_host(
    home: Path,
    servers: dict[str, McpServerConfig],
    *,
    sampler: Sampler | None = None,
    timing: Timing = Timing(settle_secs=0.01),  # noqa: B008  # a constant
    restarts: RestartPolicy = QUICK,
    router: ToolRouter | None = None,
) -> AsyncIterator[McpHost]:
    """Run what `servers` holds, which the test may change, for the length of the block; offer it in `router`."""
    store = await Store.open(home / "prx.db")
    bus, supervisor = Bus(), Supervisor()
    router = ToolRouter(bus) if router is None else router
    manager = McpServers(
        lambda: McpConfig(servers=dict(servers)),
        store,
        home,
        supervisor,
        router,
        bus,
        sampler=sampler,
        timing=timing,
        restarts=restarts,
    )
    await manager.start()
    try:
        yield McpHost(store, manager, router, bus, supervisor)
    finally:
        await manager.aclose()
        await supervisor.aclose()
        await store.aclose()
    assert [task for task in asyncio.all_tasks() if "connection" in task.get_name()] == []
