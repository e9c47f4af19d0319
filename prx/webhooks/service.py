"""Webhooks as the rest of the daemon knows them: every part of them, joined."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from prx.config.integrations import HooksConfig
from prx.core.metric import Metric, counter
from prx.core.unit import Problem
from prx.runtime.bus import Bus
from prx.runtime.egress.resolver import Names, SystemNames
from prx.runtime.store import Store
from prx.webhooks import deliveries
from prx.webhooks.configured import ConfiguredHooks
from prx.webhooks.dispatcher import Dispatcher
from prx.webhooks.feed import Feed
from prx.webhooks.hook import Delivery, DeliveryState, Hook
from prx.webhooks.outbox import HookOutbox
from prx.webhooks.pauses import FIRST_SECS
from prx.webhooks.registry import Registry

_NAME_THREADS: Final = 32
"""As many hooks whose names hang delay no other."""
_STATUSES: Final = ("active", "disabled", "failed")


class Webhooks:
    """Who wants events (`registry`), how they get there (`outbox`), and the unit that delivers (`dispatcher`)."""

    def __init__(
        self,
        store: Store,
        data_dir: Path,
        bus: Bus,
        problems: Callable[[], Iterable[Problem]],
        config: Callable[[], HooksConfig],
        *,
        names: Names | None = None,
        first_pause_secs: float = FIRST_SECS,
    ) -> None:
        """Know no hooks before `load`. `problems` are those of `/status`, of which hooks are told."""
        self._store = store
        self._system_names = SystemNames(threads=_NAME_THREADS)
        names = names or self._system_names
        self.registry = Registry(store, data_dir, names, config)
        self._configured = ConfiguredHooks(self.registry)
        self._config = config
        self._loop = asyncio.get_running_loop()
        self.outbox = HookOutbox(self._queued)
        self._feed = Feed(bus, problems, store, self.outbox, lambda: self.registry.wanted)
        self.dispatcher = Dispatcher(store, self.registry, self._feed, names, config, first_pause_secs)

    async def load(self) -> None:
        """Read the hooks of the store, and have those of the configuration.

        Raises:
            UnavailableError: the store does not answer.
        """
        await self.registry.load()
        await self._configured.follow(self._config())

    async def reconfigured(self, before: HooksConfig) -> None:
        """Have the hooks that the configuration wants now, which was `before` until now."""
        await self._configured.follow(self._config(), before)

    async def aclose(self) -> None:
        """Give up changes that are being made, and lookups of names."""
        await self.registry.aclose()
        self._system_names.close()

    def problems(self) -> list[Problem]:
        """Return what keeps events from hooks."""
        sources = (self._configured, self.registry, self.dispatcher, self._feed)
        return [problem for source in sources for problem in source.problems()]

    def metrics(self) -> list[Metric]:
        """Return how many hooks are how, and what came of attempts; see `MetricSource`."""
        count = Counter(_status(hook) for hook in self.registry.all())
        attempts = self.dispatcher.attempts
        return [
            Metric(
                "prx_webhooks",
                "gauge",
                "Webhooks by status",
                ("status",),
                [((status,), count[status]) for status in _STATUSES],
            ),
            Metric(
                "prx_webhook_attempts",
                "counter",
                "Attempts to deliver events to webhooks",
                ("outcome",),
                [((outcome,), attempts[outcome]) for outcome in ("delivered", "failed")],
            ),
            counter("prx_webhook_events_lost", "Events that found no room", self._feed.dropped),
        ]

    async def pending(self, hook: Hook) -> int:
        """Return how many events wait for `hook`."""
        return await self._store.run(lambda db: deliveries.count_pending(db, hook.number))

    async def deliveries(
        self, hook: Hook, state: DeliveryState | None, *, limit: int, offset: int
    ) -> tuple[list[Delivery], int]:
        """Return a page of the deliveries to `hook`, the newest first, and how many there are."""
        return await self._store.run(lambda db: deliveries.page(db, hook.number, state, limit, offset))

    def _queued(self, hooks: Iterable[int]) -> None:
        self._loop.call_soon_threadsafe(self.dispatcher.notice, hooks)


def _status(hook: Hook) -> str:
    if hook.active:
        return "active"
    return "disabled" if hook.reason is None else "failed"
