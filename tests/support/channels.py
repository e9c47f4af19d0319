"""What lies around channels, for tests that give it none of the daemon."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prx.agent.agent import Agent
from prx.agent.sessions import Sessions
from prx.channels.answering import Desk
from prx.channels.connections import Connections
from prx.channels.cursors import Cursors
from prx.channels.inbox import Inbox
from prx.channels.pacing import Paces
from prx.channels.pairing import Pairings
from prx.channels.policy import welcomes
from prx.channels.services import ChannelServices
from prx.config.channels import ChannelConfig
from prx.core.channel import IncomingMessage, Reception
from prx.runtime.store import Store


@dataclass
class Heard:
    """What came over channels, in its order; what a platform told of twice once, as in an inbox."""

    messages: list[IncomingMessage] = field(default_factory=list)
    config: Callable[[], Mapping[str, ChannelConfig]] = dict
    """Whose policies say who is welcome."""

    async def receive(self, _channel: str, message: IncomingMessage) -> Reception:
        known = [each.event_id for each in self.messages if each.event_id is not None]
        if message.event_id not in known:
            self.messages.append(message)
            return "taken"
        return "seen"

    def welcomes(self, channel: str, sender: str, *, is_group: bool) -> bool:
        return welcomes(sender, self.config()[channel], is_group=is_group)

    async def last_message_at(self, _channel: str) -> datetime | None:
        return self.messages[-1].sent_at if self.messages else None


def no_services() -> ChannelServices:
    """Return services of channels that are not there, so that nothing is kept."""
    return ChannelServices(Cursors(Store(Path("none"))), Path("none"), Heard(), Connections())


def inbox_of(
    store: Store, agent: Agent, sessions: Sessions, config: Callable[[], dict[str, ChannelConfig]]
) -> tuple[Inbox, Pairings]:
    """Return an inbox of channels that nothing is connected to."""
    pairings = Pairings(store)
    return Inbox(Desk(config, store, agent, sessions, Connections(), Paces()), pairings, list), pairings


@asynccontextmanager
async def keeping(directory: Path, heard: Heard) -> AsyncIterator[ChannelServices]:
    """Have services keep what they keep in `directory`; `heard` has what came."""
    store = await Store.open(directory / "channels.db")
    try:
        yield ChannelServices(Cursors(store), directory / "channels", heard, Connections())
    finally:
        await store.aclose()
