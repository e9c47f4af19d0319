"""Hooks, and what became of deliveries."""

from typing import NotRequired

from prx.api.bodies import Answer, Moment
from prx.webhooks.hook import DeliveryState, Origin


class ListedHook(Answer):
    """A hook in a list."""

    id: str
    url: str
    events: list[str]
    active: bool
    created_at: Moment


class HookList(Answer):
    """Every hook."""

    hooks: list[ListedHook]


class RegisteredHook(ListedHook):
    """A hook that was just registered."""

    secret: NotRequired[str]
    """What deliveries are signed with, where none was given; it is told here alone."""


class HookDetail(ListedHook):
    """A hook in full."""

    origin: Origin
    pending: int
    """How many events wait for it."""
    lost: int
    """How many events fell out of its backlog since it was last switched on."""
    error: NotRequired[str]
    """Why the daemon switched it off."""
    inactive_since: NotRequired[Moment]


class ChangedHook(HookDetail):
    """A hook that was just changed."""

    secret: NotRequired[str]
    """What deliveries are signed with, where a new one was to be made; it is told here alone."""


class DeliveryReport(Answer):
    """What became of one event for one hook."""

    id: str
    """The event's, which the receiver knows as `webhook-id`."""
    event: str
    created_at: Moment
    state: DeliveryState
    attempts: int
    last_attempt_at: NotRequired[Moment]
    status: NotRequired[int]
    """Of the receiver's answer to the last attempt."""
    latency_ms: NotRequired[int]
    error: NotRequired[str]
    """Why the last attempt did not deliver it."""
    excerpt: NotRequired[str]
    """The beginning of what the receiver answered."""
    next_try_at: NotRequired[Moment]


class DeliveryList(Answer):
    """A page of deliveries."""

    deliveries: list[DeliveryReport]
    total: int
    """How many match, on this page or not."""
