"""What all channels share."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from prx.channels.accounts import Accounts
from prx.channels.connections import Connections
from prx.channels.cursors import Cursors
from prx.core.channel import IncomingMessage, Reception


class Intake(Protocol):
    """Where messages go."""

    async def receive(self, channel: str, message: IncomingMessage) -> Reception:
        """Take a message that came over the channel of this name; see `ChannelContext.receive`."""

    def welcomes(self, channel: str, sender: str, *, is_group: bool) -> bool:
        """Tell whether somebody may talk over a channel, or ask to; see `ChannelContext.welcomes`."""

    async def last_message_at(self, channel: str) -> datetime | None:
        """Return when the newest message of a channel came that was heard; None where none is known.

        Raises:
            UnavailableError: the store cannot be read.
        """


@dataclass(frozen=True, slots=True)
class ChannelServices:
    """What lies around channels and outlasts their lives."""

    cursors: Cursors
    directory: Path
    """Holds a directory for each channel that asks for one."""
    intake: Intake
    connections: Connections
    accounts: Accounts = field(default_factory=Accounts)
