"""Which platforms PRX can talk to, and what it takes."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final

from prx.config.channels import PLATFORMS, ChannelConfig
from prx.config.keys import dotted
from prx.core.channel import ChannelAdapter
from prx.core.errors import PermanentError

Connect = Callable[[str, Any], ChannelAdapter]
"""Makes the adapter of the channel of this name, for one life, by its table: an instance of its platform's.

Opens nothing; raises PermanentError where it never could.
"""
Adapters = Mapping[str, Connect]
"""By the `type` of a channel's table."""


def _connect(kind: str, name: str, config: ChannelConfig) -> ChannelAdapter:
    try:
        connect: Connect = import_module(f"prx.channels.adapters.{kind}").connect
    except ModuleNotFoundError as error:
        extra = PLATFORMS[kind].extra
        if extra is None or (error.name or "").startswith("prx"):
            raise
        raise PermanentError(
            f'channels of the type "{kind}" need {error.name}, which is not installed: '
            f"pip install 'prx[{extra}]', then restart the daemon"
        ) from error
    return connect(name, config)


ADAPTERS: Final[Adapters] = {kind: partial(_connect, kind) for kind in PLATFORMS}
"""Those of this version. An adapter's module is imported when the first channel needs it."""


def missing_adapter(name: str, kind: str, adapters: Adapters) -> str:
    """Say that the channel `name` cannot connect for want of an adapter for its type, and what to do."""
    there = f"it has those for {', '.join(sorted(adapters))}" if adapters else "this version has none"
    table = dotted(("channels_config", name))
    return (
        f'this PRX has no adapter for channels of the type "{kind}", {there}: correct {table}.type, '
        f"or set {table}.enabled to false"
    )
