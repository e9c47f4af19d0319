"""The parts of the daemon: made in the order in which they need each other, and joined."""

from dataclasses import dataclass
from functools import partial

from prx.agent.agent import Agent
from prx.agent.meanings import Meanings
from prx.agent.providers.chain import Providers
from prx.agent.providers.embeddings import Embeddings
from prx.agent.recollection import Recollection
from prx.agent.sampling import Sampling
from prx.agent.sessions import Sessions
from prx.agent.skills import Skills, builtin_skills
from prx.channels.admission import Admission
from prx.channels.inbox import Inbox
from prx.channels.manager import Channels
from prx.config.live import Change, LiveConfig
from prx.config.schema import Config
from prx.core.skill import SkillShelf
from prx.daemon.agent import open_agent, open_providers, open_sampling
from prx.daemon.channels import open_channels
from prx.daemon.life import Life
from prx.daemon.options import Options
from prx.daemon.secrets import secrets_of
from prx.mcp.client.manager import McpServers
from prx.plugins.catalogue import Catalogue
from prx.plugins.host.interfaces import HostServices
from prx.plugins.skills import skill_shelves
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.log_values import redaction
from prx.runtime.logging import LogOutput, set_level
from prx.runtime.logs.book import LogBook
from prx.runtime.memory import Memory
from prx.runtime.metrics import Metrics
from prx.runtime.skill_directory import SkillDirectory
from prx.runtime.status import StatusBoard
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from prx.webhooks.service import Webhooks


class Ground:
    """What everything stands on, and what needs nothing to be made."""

    def __init__(self, live: LiveConfig, output: LogOutput, book: LogBook) -> None:
        """Make what holds no resources yet."""
        self.live = live
        self.output = output
        self.book = book
        self.status = StatusBoard()
        self.metrics = Metrics()
        self.points = ExtensionPoints.on(Bus())
        self.supervisor = Supervisor()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the daemon is made of, joined and not yet started."""

    store: Store
    webhooks: Webhooks
    memory: Memory
    recollection: Recollection
    meanings: Meanings
    catalogue: Catalogue
    skills: Skills
    channels: Channels
    inbox: Inbox
    admission: Admission
    sessions: Sessions
    agent: Agent
    servers: McpServers
    providers: Providers
    sampling: Sampling


async def make_parts(ground: Ground, options: Options, life: Life) -> Parts:
    """Make every part and join them; `life` ends them in reverse.

    Raises:
        PrxError: the store cannot be used.
    """
    live, points, supervisor = ground.live, ground.points, ground.supervisor
    config = live.current
    life.at_end("log", ground.book.aclose)
    store = await Store.open(config.daemon.data_dir / "prx.db")
    life.at_end("store", store.aclose)
    webhooks = Webhooks(
        store, config.daemon.data_dir, points.bus, ground.status.problems, lambda: live.current.hooks
    )
    life.at_end("webhooks", webhooks.aclose)
    await webhooks.load()
    life.at_end("units", supervisor.aclose)
    memory = await Memory.open(store, points.bus)
    services = HostServices(store, memory, points.bus)
    catalogue = Catalogue(lambda: live.current.plugins, config.daemon.data_dir, points, services)
    skills = Skills(partial(_skill_shelves, config, catalogue))
    sessions = await Sessions.open(store, points.bus, webhooks.outbox, lambda: live.current.agent)
    life.at_end("sessions", sessions.aclose)
    providers = open_providers(live, points, skills, life)
    meanings = Meanings(
        lambda: live.current.memory, Embeddings(lambda: live.current, providers.library), memory
    )
    recollection = Recollection(lambda: live.current.memory, memory, points, sessions, meanings.of)
    agent = await open_agent(
        live, points, store, sessions, recollection, skills, providers, webhooks.outbox, life
    )
    channels, inbox, admission = open_channels(
        live, points, store, sessions, agent, skills, supervisor, options, life
    )
    sampling = await open_sampling(live, points, store, providers, agent)
    servers = McpServers(
        lambda: live.current.mcp,
        store,
        live.current.daemon.data_dir,
        supervisor,
        points.tools,
        points.bus,
        sampler=sampling,
    )
    life.at_end("MCP servers", servers.aclose)
    parts = Parts(
        store,
        webhooks,
        memory,
        recollection,
        meanings,
        catalogue,
        skills,
        channels,
        inbox,
        admission,
        sessions,
        agent,
        servers,
        providers,
        sampling,
    )
    life.at_end("configuration changes", live.aclose)
    live.listen(partial(_obey, parts))
    _show(ground, parts)
    return parts


def _show(ground: Ground, parts: Parts) -> None:
    """Have the status tell of every part's problems, and the metrics of its figures."""
    for troubled in (
        ground.live,
        ground.book,
        parts.store,
        ground.supervisor,
        parts.catalogue,
        parts.skills,
        parts.sessions,
        parts.recollection,
        parts.meanings,
        parts.servers,
        parts.providers,
        parts.webhooks,
    ):
        ground.status.watch(troubled.problems)
    for measured in (
        ground.status,
        ground.live,
        ground.output,
        ground.book,
        parts.store,
        ground.supervisor,
        ground.points.bus,
        ground.points.tools,
        parts.memory,
        parts.catalogue,
        parts.channels,
        parts.inbox,
        parts.sessions,
        parts.agent,
        parts.sampling,
        parts.servers,
        parts.webhooks,
        parts.providers,
    ):
        ground.metrics.watch(measured.metrics)


async def _obey(parts: Parts, change: Change) -> None:
    """Have everything act on a changed configuration that does not ask for it anew each time."""
    set_level(change.new.daemon.log_level)
    # What was a secret until now may still turn up in what goes on.
    redaction.hide([*secrets_of(change.old), *secrets_of(change.new)])
    if _touches(change, "plugins."):
        await parts.catalogue.reconfigured(change.old.plugins)
    if _touches(change, "channels_config."):
        await parts.channels.reconfigured(change.old.channels_config)
    if _touches(change, "agent.session_"):
        await parts.sessions.catch_up()
    if _touches(change, "agent."):
        parts.agent.reconfigured()
    if _touches(change, "hooks."):
        await parts.webhooks.reconfigured(change.old.hooks)
    if _touches(change, "mcp."):
        parts.servers.reconfigured()
    if _touches(change, "provider."):
        parts.providers.reconfigured()
    if _touches(change, "provider.") or _touches(change, "memory."):
        parts.meanings.reconfigured()


def _touches(change: Change, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in change.keys)


def _skill_shelves(config: Config, catalogue: Catalogue) -> list[SkillShelf]:
    """Return where skills lie, the places first that win over later ones."""
    workspace = SkillDirectory("workspace", config.skills.directory, may_be_link=True)
    return [workspace, *skill_shelves(catalogue.list()), builtin_skills()]
