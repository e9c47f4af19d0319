"""Channels with everything behind them: a real agent whose model is a script, a real store, a platform on a socket."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from prx.agent.sessions import Sessions
from prx.agent.skills import Skills
from prx.channels.answering import Desk
from prx.channels.connections import Connections
from prx.channels.cursors import Cursors
from prx.channels.inbox import Inbox
from prx.channels.manager import Channels
from prx.channels.pacing import Paces
from prx.channels.pairing import Pairings
from prx.channels.services import ChannelServices
from prx.config.channels import ChannelConfig
from prx.config.schema import AgentConfig, Config
from prx.core.channel import Connect
from prx.core.outbox import NoOutbox
from prx.core.provider import ChatProvider
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from tests.support.agents import Bench
from tests.support.waiting import eventually


class Daemon:
    """One life of what lies between a platform and the model."""

    def __init__(self, kind: str, connect: Connect, bench: Bench, store: Store, directory: Path) -> None:
        self.configured: dict[str, ChannelConfig] = {}
        self.bench = bench
        self.store = store
        self.supervisor = Supervisor(chance=lambda: 0.0)
        self.pairings = Pairings(store)
        self.connections = Connections()
        self.kind = kind
        desk = Desk(lambda: self.configured, store, bench.agent, bench.sessions, self.connections, Paces())
        self.inbox = Inbox(desk, self.pairings, bench.skills.list)
        services = ChannelServices(Cursors(store), directory / "channels", self.inbox, self.connections)
        self.channels = Channels(
            lambda: self.configured, self.supervisor, bench.points.bus, services, adapters={kind: connect}
        )

    async def configure(self, name: str = "one", **table: Any) -> None:
        """Connect a channel that everybody may talk to, or as `table` says."""
        old = self.configured
        whole = {"type": self.kind, "allowed_users": ["*"]} | table
        self.configured = {**old, **Config.model_validate({"channels_config": {name: whole}}).channels_config}
        await self.channels.reconfigured(old)
        await eventually(lambda: self.channels.get(name).status in ("connected", "disabled", "disconnected"))

    async def disconnect(self, name: str = "one") -> None:
        old = self.configured
        self.configured = {key: table for key, table in old.items() if key != name}
        await self.channels.reconfigured(old)


@asynccontextmanager
async def living(
    directory: Path, kind: str, connect: Connect, model: ChatProvider, skills: Skills | None = None
) -> AsyncIterator[Daemon]:
    """Be a daemon with what an earlier one left in `directory`."""
    async with AsyncExitStack() as stack:
        store = await Store.open(directory / "prx.db")
        stack.push_async_callback(store.aclose)
        points = ExtensionPoints.on(Bus())
        sessions = await Sessions.open(store, points.bus, NoOutbox(), AgentConfig)
        stack.push_async_callback(sessions.aclose)
        bench = Bench(store, sessions, points, model, skills=skills or Skills(list))
        await bench.open()
        await stack.enter_async_context(bench.serving())
        daemon = Daemon(kind, connect, bench, store, directory)
        stack.push_async_callback(daemon.supervisor.aclose)
        stack.push_async_callback(daemon.channels.aclose)
        stack.push_async_callback(daemon.inbox.aclose)
        await daemon.inbox.resume()
        yield daemon
