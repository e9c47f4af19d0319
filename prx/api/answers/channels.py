"""Channels."""

from typing import Literal, NotRequired

from prx.api.bodies import Answer, Moment
from prx.channels.manager import ChannelStatus


class ChannelRow(Answer):
    """A configured channel."""

    name: str
    status: ChannelStatus
    connected_at: NotRequired[Moment]
    """Since when; absent while it is not connected."""
    active_sessions: NotRequired[int]
    """Absent while it is not connected."""
    error: NotRequired[str]
    """Why it is not connected."""


class ChannelList(Answer):
    """Every configured channel, by name."""

    channels: list[ChannelRow]


class ChannelRestarted(Answer):
    """A channel that connects anew, in the background."""

    name: str
    status: Literal["reconnecting"]


class ChannelHealthAnswer(Answer):
    """Whether a round trip to the platform succeeds now."""

    name: str
    healthy: bool
    latency_ms: NotRequired[int]
    """How long the round trip took; absent where there was none."""
    last_message_at: NotRequired[Moment]
    """When the newest message came that was heard; absent where none is known."""
    error: NotRequired[str]
    """Why there was none."""


class ShownPairing(Answer):
    """Somebody who asks to be let in."""

    code: str
    channel: str
    sender: str
    """The stable id, which `allowed_users` will have."""
    sender_name: str
    """What the platform says that they are called; anybody can be called anything."""
    asked_at: Moment
    expires_at: Moment


class PairingList(Answer):
    """Everybody who asks to be let in, the longest waiting first."""

    pairings: list[ShownPairing]


class Paired(Answer):
    """Somebody who was let in."""

    channel: str
    sender: str
