"""Webhooks over a real store, with the unit under a real supervisor."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prx.config.integrations import HooksConfig
from prx.core.ids import now_utc
from prx.core.unit import Problem
from prx.runtime.bus import Bus
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from prx.webhooks.hook import Hook
from prx.webhooks.outbox import Happening
from prx.webhooks.service import Webhooks
from tests.integration.webhooks.receiver import SECRET
from tests.support.waiting import PATIENCE_SECS


@dataclass
class Stage:
    """One run of the daemon's webhooks."""

    store: Store
    bus: Bus
    webhooks: Webhooks
    supervisor: Supervisor
    config: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    async def register(self, url: str, *events: str, secret: str = SECRET) -> Hook:
        hook, _ = await self.webhooks.registry.register(url, events or ("*",), secret)
        return hook

    async def happen(self, times: int = 1, event: str = "session.created") -> None:
        """Have something happen, each time with the next number, as jobs that owners of facts write."""
        for _ in range(times):
            self.count += 1
            await self.store.run(
                lambda db: self.webhooks.outbox.put_all(
                    db, [Happening(event, {"number": self.count}, now_utc())]
                )
            )

    async def states(self, hook: Hook) -> list[str]:
        found, _ = await self.webhooks.deliveries(hook, None, limit=500, offset=0)
        return [delivery.state for delivery in reversed(found)]

    async def settled(self, hook: Hook, states: list[str]) -> None:
        """Wait until the store has this of the hook's deliveries, the oldest first."""
        async with asyncio.timeout(PATIENCE_SECS):
            while await self.states(hook) != states:
                continue


RunStage = Callable[..., Any]


@pytest.fixture
def run_stage(tmp_path: Path) -> RunStage:
    """Return what opens a stage in the same data directory, as often as a test wants."""

    @asynccontextmanager
    async def run(**config: Any) -> AsyncIterator[Stage]:
        given = {"allow_private_targets": True, **config}
        store = await Store.open(tmp_path / "prx.db")
        bus, supervisor, problems = Bus(), Supervisor(), list[Problem]()
        webhooks = Webhooks(
            store,
            tmp_path,
            bus,
            lambda: problems,
            lambda: HooksConfig.model_validate(given),
            first_pause_secs=0.001,
        )
        try:
            await webhooks.load()
            supervisor.add(webhooks.dispatcher)
            await supervisor.wait(webhooks.dispatcher.name, {"running"}, PATIENCE_SECS)
            yield Stage(store, bus, webhooks, supervisor, given, problems)
        finally:
            await supervisor.aclose()
            await webhooks.aclose()
            await store.aclose()

    return run


@pytest.fixture
async def stage(run_stage: RunStage) -> AsyncIterator[Stage]:
    async with run_stage() as stage:
        yield stage
