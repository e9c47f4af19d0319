"""Sessions by a clock that the test sets."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prx.agent.sessions import Sessions
from prx.config.schema import AgentConfig
from prx.core.event import Event, topics
from prx.core.outbox import StoredEvent
from prx.core.session import SessionStatus
from prx.runtime.bus import Bus, Subscription
from prx.runtime.store import Store

IDLE, TIMEOUT = 900, 3600
DAY = 86400
STATUSES: tuple[SessionStatus, ...] = ("active", "idle", "terminated")


class Notes:
    """An outbox that keeps what it takes in a table of the same file, so that it shares the fate of the job."""

    def put(self, connection: sqlite3.Connection, event: StoredEvent, data: Mapping[str, Any]) -> None:
        connection.execute(
            "INSERT INTO plugin_kv VALUES (?, ?, '')", (event, f"{data['id']} {data.get('reason')}")
        )


@dataclass
class Life:
    """Sessions, and everything around them that a test turns."""

    store: Store
    bus: Bus = field(default_factory=Bus)
    config: AgentConfig = field(default_factory=AgentConfig)
    now: datetime = datetime(2026, 3, 21, 10, 0, 0, 123456, tzinfo=UTC)
    sessions: Sessions = field(init=False)
    heard: Subscription = field(init=False)

    async def restart(self) -> None:
        """Begin anew with what is in the store."""
        self.sessions = await Sessions.open(
            self.store, self.bus, Notes(), lambda: self.config, lambda: self.now
        )

    def configure(self, **agent: int) -> None:
        self.config = AgentConfig.model_validate(agent)

    def passes(self, secs: float) -> None:
        self.now += timedelta(seconds=secs)

    def events(self) -> list[tuple[str, Any]]:
        """Return what was heard of sessions since the last time."""
        heard: list[Event] = []
        while self.heard.queued:
            heard.append(self.heard._queue.get_nowait())
        return [(event.topic, event.payload) for event in heard]

    async def notes(self) -> list[tuple[str, str]]:
        """Return the events that are on disk, with their session and reason."""
        return await self.store.run(lambda db: db.execute("SELECT plugin, key FROM plugin_kv").fetchall())


@asynccontextmanager
async def living(path: Path) -> AsyncIterator[Life]:
    store = await Store.open(path)
    try:
        life = Life(store)
        await life.restart()
        with life.bus.subscribed(topics("prx.session.*")) as life.heard:
            yield life
    finally:
        await store.aclose()


@asynccontextmanager
async def looking_after(sessions: Sessions) -> AsyncIterator[None]:
    """Run the unit for the length of the block."""
    started = asyncio.Event()
    unit = asyncio.ensure_future(sessions.run(started.set))
    await started.wait()
    try:
        yield
    finally:
        unit.cancel()
        await asyncio.wait({unit})


async def statuses(life: Life) -> dict[SessionStatus, list[str]]:
    """Return the ids that each status lists."""
    pages = {status: await life.sessions.list(status=status) for status in STATUSES}
    for page in pages.values():
        assert page.total == len(page.sessions)
    return {status: [session.id for session in page.sessions] for status, page in pages.items()}
