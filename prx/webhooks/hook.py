"""What a webhook is, and what became of one delivery, as the store and the API have them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

Origin = Literal["api", "config"]
DeliveryState = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Hook:
    """One endpoint that wants events."""

    number: int
    """What its rows in the store are found by; never used again."""
    id: str
    url: str = field(repr=False)
    events: tuple[str, ...]
    """As they were asked for."""
    origin: Origin
    created_at: str
    active: bool
    reason: str | None = None
    """Why it is not active, where the daemon switched it off."""
    since: str | None = None
    """When it was switched off."""
    lost: int = 0
    """How many events fell out of its backlog, which is bounded, since it was last switched on."""

    @property
    def queues(self) -> bool:
        """Whether it gets what happens from now on: one that the daemon switched off does, when it is active again."""
        return self.active or self.reason is not None


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of one hook."""

    newest: str = field(repr=False)
    before: str | None = field(default=None, repr=False)
    """The one that was replaced, used beside the newest until `before_until`."""
    before_until: datetime | None = None

    def at(self, moment: datetime) -> list[str]:
        """Return those that deliveries are signed with at `moment`, the newest first."""
        if self.before is None or self.before_until is None or moment >= self.before_until:
            return [self.newest]
        return [self.newest, self.before]


class Fault(NamedTuple):
    """Why the secrets of a hook cannot be read."""

    reason: str
    has_key: bool
    """Whether there is a key to seal others with."""


class Pending(NamedTuple):
    """One event that is still to be delivered to one hook."""

    event: int
    """The event's number; a hook gets them in this order."""
    id: str
    body: bytes
    attempts: int
    next_try_ms: int
    """Not before this time, in milliseconds since 1970."""
    round: int
    """How often somebody had it tried afresh."""
    last_attempt_at: str | None = None
    error: str | None = None
    """Why the last attempt failed."""


class Outcome(NamedTuple):
    """What one attempt came to."""

    at: str
    delivered: bool
    status: int | None = None
    """The answer's status; None where there was none."""
    latency_ms: int = 0
    error: str | None = None
    """Why it is not delivered."""
    excerpt: str | None = None
    """The beginning of what was answered."""
    retry_after_secs: float | None = None
    """How long the receiver wants to be left alone."""

    @property
    def gone(self) -> bool:
        """Whether the receiver says that it will never take anything again."""
        return self.status == 410  # noqa: PLR2004  # Gone


class Failing(NamedTuple):
    """Attempts to deliver to one hook that failed, one after the other."""

    attempts: int
    since: str
    """The first of them that is known."""
    error: str
    """Why the last one failed."""


class Delivery(NamedTuple):
    """One event and one hook, as it is shown."""

    id: str
    event: str
    created_at: str
    state: DeliveryState
    attempts: int
    last_attempt_at: str | None
    status: int | None
    latency_ms: int | None
    error: str | None
    excerpt: str | None
    next_try_at: str | None
