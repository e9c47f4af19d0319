"""The port that the tests of this directory call."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from prx.agent.sessions import Sessions
from prx.api.app import build_app
from prx.api.tokens import TokenStore
from prx.channels.admission import Admission
from prx.channels.manager import Channels
from prx.config.channels import ChannelConfig
from prx.config.integrations import HooksConfig
from prx.config.schema import AgentConfig, PluginsConfig
from prx.core.outbox import NoOutbox
from prx.plugins.catalogue import Catalogue
from prx.plugins.host.interfaces import HostServices
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logs.book import LogBook
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from prx.webhooks.service import Webhooks
from tests.integration.api.api_harness import Api, Echo, deps_of, live_config, serving
from tests.support.agents import Bench, Model
from tests.support.channels import Heard, inbox_of, keeping
from tests.support.line_channel import LinePlatform, connecting_to, line_platform


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[LogBook]:
    """A log book; a test writes its lines, or configures the log with it."""
    book = LogBook(tmp_path / "logs", max_file_bytes=1 << 20, max_files=4)
    yield book
    await book.aclose()
    book.close()


@pytest.fixture
async def platform() -> AsyncIterator[LinePlatform]:
    """What a channel of the type `line` connects to."""
    async with line_platform() as platform:
        yield platform


@pytest.fixture
def configured() -> dict[str, ChannelConfig]:
    """The channels as they are configured; a test fills it, then calls `Channels.reconfigured`."""
    return {}


@pytest.fixture
async def channels(
    platform: LinePlatform, configured: dict[str, ChannelConfig], tmp_path: Path
) -> AsyncIterator[Channels]:
    """Channels that know one platform."""
    supervisor = Supervisor(chance=lambda: 0.0)
    async with keeping(tmp_path, Heard()) as services:
        channels = Channels(
            lambda: dict(configured),
            supervisor,
            Bus(),
            services,
            adapters={"line": connecting_to(platform)},
        )
        yield channels
        await channels.aclose()
        await supervisor.aclose()


@pytest.fixture
def hooks_config() -> dict[str, Any]:
    """The table `[hooks]`; a test fills it."""
    return {}


@pytest.fixture
async def webhooks(tmp_path: Path, store: Store, hooks_config: dict[str, Any]) -> AsyncIterator[Webhooks]:
    """Webhooks that deliver."""
    supervisor = Supervisor()
    webhooks = Webhooks(store, tmp_path, Bus(), list, lambda: HooksConfig.model_validate(hooks_config))
    await webhooks.load()
    supervisor.add(webhooks.dispatcher)
    await supervisor.wait(webhooks.dispatcher.name, {"running"}, 10)
    yield webhooks
    await supervisor.aclose()
    await webhooks.aclose()


@pytest.fixture
def model() -> Model:
    """The language model of the agent; it answers what a test has it answer."""
    return Model()


@pytest.fixture
async def bench(store: Store, model: Model) -> AsyncIterator[Bench]:
    """The agent and its sessions."""
    points = ExtensionPoints.on(Bus())
    sessions = await Sessions.open(store, points.bus, NoOutbox(), AgentConfig)
    bench = Bench(store, sessions, points, model)
    await bench.open()
    async with bench.serving():
        yield bench
    await sessions.aclose()


@pytest.fixture
async def api(
    tmp_path: Path, bench: Bench, echo: Echo, book: LogBook, channels: Channels, webhooks: Webhooks
) -> AsyncIterator[Api]:
    """The port with one tool, ready to serve."""
    points = bench.points
    services = HostServices(bench.store, Memory(bench.store), points.bus)
    live = live_config(tmp_path)
    inbox, pairings = inbox_of(bench.store, bench.agent, bench.sessions, lambda: live.current.channels_config)
    harness = Api(
        TokenStore(tmp_path),
        Catalogue(PluginsConfig, tmp_path, points, services),
        points.tools,
        book,
        points.bus,
        live,
        channels=channels,
        admission=Admission(pairings, live, inbox),
        sessions=bench.sessions,
        agent=bench.agent,
        webhooks=webhooks,
    )
    harness.token, _ = harness.tokens.create("admin")
    with harness.router.offering([echo]):
        async with serving(harness, build_app(deps_of(harness))):
            yield harness
    await inbox.aclose()


@pytest.fixture
async def session(api: Api) -> str:
    """A session, in which messages may be sent as quickly as a test likes."""
    api.configure(rate_limits={"sessions_write": 0, "sessions_read": 0})
    reply = await api.post("/api/v1/sessions", json={"channel": "api", "user_id": "user_123"})
    return str(reply.json()["id"])
