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
    error: NotRequired[str]
    """Why there was none."""
