"""The configuration of a running daemon: one owner, replaced as a whole, the last good one kept."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from prx.config.keys import Tree, at, dotted, holds, leaves
from prx.config.layers import Layers
from prx.config.origins import origins
from prx.config.patch import Outcome, patch
from prx.config.redaction import shown
from prx.config.schema import Config
from prx.config.sources import Loaded, Sources
from prx.config.types import Table
from prx.core.errors import ConfigError, PreconditionFailedError
from prx.core.ids import new_id, now_utc
from prx.core.metric import Metric, gauge
from prx.core.unit import Problem

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Change:
    """One step from a configuration to the next."""

    old: Config
    new: Config
    keys: tuple[str, ...]
    """What has another value now."""
    restart_required: tuple[str, ...]
    """What has another value from the next start on."""
    hidden: Mapping[str, str]
    """What was set where a later layer hides it, and by which."""


Listener = Callable[[Change], Awaitable[None]]


class LiveConfig:
    """What the daemon runs with now. Only `reload` and `patch` change it, one at a time."""

    def __init__(self, sources: Sources) -> None:
        """Load for the first time. Blocks on the file system.

        Raises:
            ConfigError: what `Sources.load` raises.
        """
        self.sources = sources
        self._changing = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._refusal_listeners: list[Callable[[ConfigError], None]] = []
        self._patches: set[asyncio.Future[tuple[Outcome, str]]] = set()
        self._problem: Problem | None = None
        self._process = new_id("cfg")
        self._loaded = sources.load()
        self.current = self._loaded.config
        self.version = 1
        """Counts the configurations of this run, with those that wait for a restart."""
        self.restart_required: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """What tells this configuration from every other one, also from those before a restart."""
        return f"{self._process}-{self.version}"

    def shown(self) -> Tree:
        """Return the effective configuration, secrets masked."""
        return shown(self.current)

    async def origins(self) -> dict[str, dict[str, Any]]:
        """Return every key with its value and where that comes from; see `prx.config.origins`."""
        return await asyncio.to_thread(origins, self._loaded.layers, self._loaded.config, self.current)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each change from now on; the next one waits for it. It must not raise."""
        self._listeners.append(listener)

    def listen_to_refusals(self, listener: Callable[[ConfigError], None]) -> None:
        """Call `listener` whenever what the files hold is refused."""
        self._refusal_listeners.append(listener)

    async def reload(self) -> Change | None:
        """Load again and take over what is hot; None where nothing changed.

        Keys that need a restart keep the value the daemon started with and are listed in `restart_required`.

        Raises:
            ConfigError: the new configuration is wrong; the old one stays, and `problems` says so.
        """
        async with self._changing:
            return await self._reload()

    async def patch(
        self, changes: Mapping[str, Any], *, if_match: Collection[str] | None = None
    ) -> tuple[Outcome, str]:
        """Write `changes` into the overlay and take over what is hot; see `prx.config.patch.patch`.

        Returns what became of them, and the etag of what they made. It is done to its end, even if the caller goes.

        Args:
            changes: dotted keys and their new values.
            if_match: the etags of the configurations that the changes are meant for, None for any.

        Raises:
            PreconditionFailedError: the configuration is another one by now.
            BadRequestError, ConflictError, UnavailableError: as `prx.config.patch.patch`.
        """
        work = asyncio.ensure_future(self._patch(changes, if_match))
        self._patches.add(work)
        work.add_done_callback(self._patches.discard)
        return await asyncio.shield(work)

    async def aclose(self) -> None:
        """Let the patches end that are being made; begin no other."""
        await asyncio.gather(*self._patches, return_exceptions=True)

    def problems(self) -> list[Problem]:
        """Return why the last reload was refused, until one succeeds."""
        return [] if self._problem is None else [self._problem]

    def metrics(self) -> list[Metric]:
        """Return how the configuration is; see `MetricSource`."""
        waits = bool(self.restart_required)
        return [
            gauge("prx_config_version", "Counts the configurations since the start", self.version),
            gauge("prx_config_restart_required", "Whether a changed key waits for a restart", waits),
        ]

    async def _patch(
        self, changes: Mapping[str, Any], if_match: Collection[str] | None
    ) -> tuple[Outcome, str]:
        async with self._changing:
            with suppress(
                ConfigError
            ):  # perhaps the changes put it right; if not, they are refused with the reason
                await self._reload()
            if if_match is not None and not {"*", self.etag} & set(if_match):
                raise PreconditionFailedError(
                    "the configuration has changed since it was read: GET /api/v1/config again, and send If-Match with "
                    "its ETag"
                )
            loaded, outcome = await asyncio.to_thread(patch, self.sources, changes)
            await self._adopt(loaded)
            return outcome, self.etag

    async def _reload(self) -> Change | None:
        try:
            loaded = await asyncio.to_thread(self.sources.load)
        except ConfigError as error:
            self._problem = Problem(
                unit="config.file",
                reason=f"the changed configuration was refused, the old one stays: {error.message}",
                since=now_utc(),
                action="correct the file: it is read again by itself",
            )
            for listener in self._refusal_listeners:
                listener(error)
            raise
        return await self._adopt(loaded)

    async def _adopt(self, loaded: Loaded) -> Change | None:
        before, old = self._loaded, self.current
        self._loaded = loaded
        self._problem = None
        hidden = _hidden_edits(before.layers, loaded.layers)
        differs = _differing(before.config, loaded.config)
        if not differs and not hidden:
            return None
        if differs:
            self.current, self.restart_required = effective_config(old, loaded.config)
            self.version += 1
        change = Change(old, self.current, _differing(old, self.current), self.restart_required, hidden)
        for listener in self._listeners:
            await listener(change)
        return change


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


def _differing(one: Config, other: Config) -> tuple[str, ...]:
    """Return the keys that differ, those included that only one of them has."""
    # An empty table says nothing that the keys beside it do not say.
    first, second = (
        {key: value for key, value in leaves(config.model_dump()) if value != {}} for config in (one, other)
    )
    nothing = object()
    keys = dict.fromkeys([*first, *second])
    return tuple(dotted(key) for key in keys if first.get(key, nothing) != second.get(key, nothing))


def _hidden_edits(before: Layers, after: Layers) -> dict[str, str]:
    """Return the keys that were set anew in a file and have their value from a later layer, with its name."""
    known = {layer.origin: layer.tree for layer in before.all}
    hidden = {}
    for layer in (*after.files, after.overlay):
        old = known.get(layer.origin, {})
        for key, value in leaves(layer.tree):
            # An empty table, such as one whose last key was taken out, sets nothing that could be hidden.
            if value != {} and not (holds(old, key) and _same(at(old, key), value)):
                upper = after.hiding(key, layer)
                if upper is not None:
                    hidden[dotted(key)] = upper.origin
    return hidden


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other
