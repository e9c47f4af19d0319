"""Which platforms PRX can talk to."""

from collections.abc import Callable, Mapping
from typing import Final

from prx.config.integrations import ChannelConfig
from prx.core.channel import ChannelAdapter

Connect = Callable[[str, ChannelConfig], ChannelAdapter]
"""Makes the adapter of the channel of this name, for one life."""
Adapters = Mapping[str, Connect]
"""By the `type` of a channel's table."""

ADAPTERS: Final[Adapters] = {}
"""Those of this version: none so far."""


def missing_adapter(name: str, kind: str, adapters: Adapters) -> str:
    """Say that the channel `name` cannot connect for want of an adapter for its type, and what to do."""
    there = f"it has those for {', '.join(sorted(adapters))}" if adapters else "this version has none"
    return (
        f'this PRX has no adapter for channels of the type "{kind}", {there}: correct channels_config.{name}.type, '
        f"or set channels_config.{name}.enabled to false"
    )
