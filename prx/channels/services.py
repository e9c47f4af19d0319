"""What all channels share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from prx.channels.accounts import Accounts
from prx.channels.cursors import Cursors
from prx.core.channel import IncomingMessage


@dataclass(frozen=True, slots=True)
class ChannelServices:
    """What lies around channels and outlasts their lives."""

    cursors: Cursors
    directory: Path
    """Holds a directory for each channel that asks for one."""
    receive: Callable[[str, IncomingMessage], Awaitable[None]]
    """Takes a message that came over the channel of this name; see `ChannelContext.receive`."""
    accounts: Accounts = field(default_factory=Accounts)
