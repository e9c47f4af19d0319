"""Which platforms PRX can talk to."""

from collections.abc import Callable, Mapping
from typing import Final

from prx.config.integrations import ChannelConfig
from prx.config.keys import dotted
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
    table = dotted(("channels_config", name))
    return (
        f'this PRX has no adapter for channels of the type "{kind}", {there}: correct {table}.type, '
        f"or set {table}.enabled to false"
    )
