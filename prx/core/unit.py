"""The contract between the supervisor and the long-lived things it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


class Unit(Protocol):
    """One supervised thing: the plugin catalogue, an MCP connection, a channel."""

    @property
    def name(self) -> str:
        """Unique id, `<kind>.<name>`, as shown by the API."""

    async def run(self, started: Callable[[], None]) -> None:
        """Own every resource for one life; call `started` once serving.

        Cancelling this coroutine is the only way to stop a unit.

        Raises:
            PermanentError: do not restart; wait for an operator.
        """


@runtime_checkable
class Recovering(Unit, Protocol):
    """A unit that may find out, while it pauses, that what its last life ended for is over."""

    async def recovered(self) -> None:
        """Return as soon as the next life can begin, which may be never; cancelled when the pause ends by itself."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the daemon is degraded, and what an operator can do about it."""

    unit: str
    """`<kind>.<name>`, e.g. `plugin.weather`."""
    reason: str
    since: datetime
    action: str
