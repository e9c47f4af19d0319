"""An agent that serves, with a model that says what the test wants; and sessions alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prx.agent.sessions import Sessions
from prx.config.schema import AgentConfig
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.store import Store
from tests.support.agents import Bench, Model, Told
from tests.support.sessions import Life, living


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


@pytest.fixture
async def bench(store: Store, model: Model) -> AsyncIterator[Bench]:
    """An agent that serves."""
    points = ExtensionPoints.on(Bus())
    sessions = await Sessions.open(store, points.bus, Told(), AgentConfig)
    bench = Bench(store, sessions, points, model, outbox=Told())
    await bench.open()
    async with bench.serving():
        yield bench
    await sessions.aclose()


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    """Sessions by a clock that the test sets."""
    async with living(tmp_path / "prx.db") as life:
        yield life
