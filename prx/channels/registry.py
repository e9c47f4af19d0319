"""Which platforms PRX can talk to, and what it takes."""

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Final

from prx.config.channels import PLATFORMS, ChannelConfig
from prx.config.keys import dotted
from prx.core.channel import ChannelAdapter, Connect
from prx.core.errors import NotFoundError, PermanentError
from prx.runtime.registry import Registry

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


class OfferedAdapters(Mapping[str, Connect]):
    """What is offered now, by PRX itself and by plugins, as it comes and goes."""

    def __init__(self, offers: Registry[Connect]) -> None:
        """Show what `offers` has."""
        self._offers = offers

    def __getitem__(self, kind: str) -> Connect:
        """Return what makes adapters of a type."""
        try:
            return self._offers.get(kind)
        except NotFoundError as error:
            raise KeyError(kind) from error

    def __iter__(self) -> Iterator[str]:
        """Yield every type that there is."""
        return iter(self._offers.names())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._offers.names())


def missing_adapter(name: str, kind: str, adapters: Adapters) -> str:
    """Say that the channel `name` cannot connect for want of an adapter for its type, and what to do."""
    there = f"it has those for {', '.join(sorted(adapters))}" if adapters else "this version has none"
    table = dotted(("channels_config", name))
    return (
        f'this PRX has no adapter for channels of the type "{kind}", {there}: correct {table}.type, '
        f"load the plugin that brings it, or set {table}.enabled to false"
    )
