"""How the daemon is."""

from typing import Literal

from prx.api.bodies import Answer, Moment


class ChannelCounts(Answer):
    """Channels at a glance."""

    connected: int
    total: int


class PluginCounts(Answer):
    """Plugins at a glance."""

    loaded: int
    total: int


class MemoryFigures(Answer):
    """The agent's long-term memory."""

    backend: str
    entries: int


class ProviderFigures(Answer):
    """The language model in use."""

    name: str
    model: str


class ProblemRow(Answer):
    """Something that is wrong."""

    unit: str
    """What it is about: `<kind>.<name>`."""
    reason: str
    since: Moment
    action: str
    """What helps."""


class ConfigFigures(Answer):
    """Where the configuration stands."""

    version: int
    """How often it has changed since the start, beginning with 1."""
    restart_required: bool
    """Whether a changed key waits for a restart."""


class StatusAnswer(Answer):
    """The daemon at a glance."""

    status: Literal["healthy", "degraded"]
    """`degraded` while there are `problems`."""
    version: str
    uptime_secs: int
    active_sessions: int
    channels: ChannelCounts
    plugins: PluginCounts
    memory: MemoryFigures
    provider: ProviderFigures
    problems: list[ProblemRow]
    loop_lag_ms: float
    """How late the event loop woke a sleeping task."""
    memory_rss_bytes: int
    """Resident memory of the daemon, at most a second old."""
    config: ConfigFigures


class HealthAnswer(Answer):
    """Whether requests are served."""

    healthy: bool
