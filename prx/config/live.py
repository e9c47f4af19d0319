"""The configuration of a running daemon: one owner, replaced as a whole, the last good one kept."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from prx.config.schema import Config
from prx.config.types import Table
from prx.core.errors import ConfigError
from prx.core.ids import now_utc
from prx.core.unit import Problem

T = TypeVar("T", bound=Table)


class LiveConfig:
    """What the daemon runs with now. Only `reload` changes it."""

    def __init__(self, load: Callable[[], Config]) -> None:
        """Load for the first time.

        Args:
            load: reads every layer anew; may block, raises ConfigError.

        Raises:
            ConfigError: what `load` raises.
        """
        self._load = load
        self._reloading = asyncio.Lock()
        self._problem: Problem | None = None
        self.current = load()
        self.version = 1
        self.restart_required: tuple[str, ...] = ()

    async def reload(self) -> bool:
        """Load again and take over what is hot; tell whether anything changed.

        Keys that need a restart keep the value the daemon started with and are listed in `restart_required`.

        Raises:
            ConfigError: the new configuration is wrong; the old one stays, and `problems` says so.
        """
        async with self._reloading:
            try:
                loaded = await asyncio.to_thread(self._load)
            except ConfigError as error:
                self._problem = Problem(
                    unit="config.file",
                    reason=f"the changed configuration was refused, the old one stays: {error.message}",
                    since=now_utc(),
                    action="correct it, then send SIGHUP",
                )
                raise
            self._problem = None
            effective, self.restart_required = effective_config(self.current, loaded)
            if effective == self.current:
                return False
            self.current = effective
            self.version += 1
            return True

    def problems(self) -> list[Problem]:
        """Return why the last reload was refused, until one succeeds."""
        return [] if self._problem is None else [self._problem]


def effective_config(running: Config, loaded: Config) -> tuple[Config, tuple[str, ...]]:
    """Return `loaded` with the restart-only keys of `running`, and the dotted keys that differ for it."""
    waiting: list[str] = []
    return _effective(running, loaded, "", waiting), tuple(waiting)


def _effective(running: T, loaded: T, prefix: str, waiting: list[str]) -> T:
    kept: dict[str, Any] = {}
    for name, field in type(running).model_fields.items():
        old, new = getattr(running, name), getattr(loaded, name)
        if isinstance(old, Table):
            kept[name] = _effective(old, new, f"{prefix}{name}.", waiting)
        elif old != new and field.json_schema_extra == {"reload": "restart"}:
            kept[name] = old
            waiting.append(f"{prefix}{name}")
    return loaded.model_copy(update=kept)
