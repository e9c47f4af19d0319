"""Channels: joined with the agent, which what comes over them is for."""

from prx.agent.agent import Agent
from prx.agent.sessions import Sessions
from prx.agent.skills import Skills
from prx.channels.admission import Admission
from prx.channels.answering import Desk
from prx.channels.connections import Connections
from prx.channels.cursors import Cursors
from prx.channels.inbox import Inbox
from prx.channels.manager import Channels
from prx.channels.pacing import Paces
from prx.channels.pairing import Pairings
from prx.channels.registry import ADAPTERS, OfferedAdapters
from prx.channels.services import ChannelServices
from prx.config.channels import ChannelConfig
from prx.config.live import LiveConfig
from prx.daemon.life import Life
from prx.daemon.options import Options
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor


def open_channels(  # noqa: PLR0913, PLR0917  # what they are joined from
    live: LiveConfig,
    points: ExtensionPoints,
    store: Store,
    sessions: Sessions,
    agent: Agent,
    skills: Skills,
    supervisor: Supervisor,
    options: Options,
    life: Life,
) -> tuple[Channels, Inbox, Admission]:
    """Join what connects to chat platforms, sees messages to their answers, and lets users in; `life` ends it."""

    def config() -> dict[str, ChannelConfig]:
        return live.current.channels_config

    connections = Connections()
    desk = Desk(config, store, agent, sessions, connections, Paces())
    pairings = Pairings(store)
    inbox = Inbox(desk, pairings, skills.list)
    life.at_end("inbox of channels", inbox.aclose)
    services = ChannelServices(Cursors(store), live.current.daemon.data_dir / "channels", inbox, connections)
    for kind, connect in ADAPTERS.items():
        life.hold(points.channels.offering(kind, connect, "PRX itself"))
    adapters = OfferedAdapters(points.channels)
    channels = Channels(
        config, supervisor, points.bus, services, adapters=adapters, connects=options.channels
    )
    life.at_end("channels", channels.aclose)
    # Ended first: when the daemon stops, plugins go, and nothing is to be connected anew for that.
    life.hold(points.channels.listening(channels.adapter_changed))
    return channels, inbox, Admission(pairings, live, inbox)
