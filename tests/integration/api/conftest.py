"""The port that the tests of this directory call."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prx.api.app import build_app
from prx.api.tokens import TokenStore
from prx.config.schema import PluginsConfig
from prx.plugins.catalogue import Catalogue
from prx.plugins.host.interfaces import HostServices
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from tests.integration.api.api_harness import Api, Echo, deps_of, serving


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


@pytest.fixture
async def api(tmp_path: Path, store: Store, echo: Echo) -> AsyncIterator[Api]:
    """The port with one tool, ready to serve."""
    points = ExtensionPoints.on(Bus())
    harness = Api(
        TokenStore(tmp_path),
        Catalogue(PluginsConfig, tmp_path, points, HostServices(store, Memory(store), points.bus)),
        points.tools,
    )
    harness.token, _ = harness.tokens.create("admin")
    with harness.router.offering([echo]):
        async with serving(harness, build_app(deps_of(harness))):
            yield harness
