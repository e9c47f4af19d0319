"""Where the rest of the daemon finds what plugins bring, one place for each kind."""

from dataclasses import dataclass, field
from typing import Self

from prx.core.channel import Connect
from prx.core.provider import ChatProvider
from prx.core.storage import MemoryStorage
from prx.runtime.bus import Bus
from prx.runtime.cron import Cron
from prx.runtime.pipeline import Pipeline
from prx.runtime.registry import Registry
from prx.runtime.tools import ToolRouter


@dataclass(frozen=True, slots=True)
class ExtensionPoints:
    """One daemon's, shared by everything that brings or uses one of these."""

    bus: Bus
    tools: ToolRouter
    cron: Cron
    middleware: Pipeline = field(default_factory=Pipeline)
    providers: Registry[ChatProvider] = field(default_factory=lambda: Registry[ChatProvider]("provider"))
    storages: Registry[MemoryStorage] = field(default_factory=lambda: Registry[MemoryStorage]("storage"))
    channels: Registry[Connect] = field(default_factory=lambda: Registry[Connect]("channel type"))
    """What makes the adapters of channels, by the `type` of their table."""

    @classmethod
    def on(cls, bus: Bus) -> Self:
        """Return empty ones that tell `bus` what happens."""
        return cls(bus, ToolRouter(bus), Cron(bus))
