"""`/mcp` of a real port, with tools that tests script."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from prx.api.app import build_app
from prx.api.tokens import TokenStore
from prx.config.schema import PluginsConfig
from prx.plugins.catalogue import Catalogue
from prx.plugins.host.interfaces import HostServices
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logs.book import LogBook
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from tests.integration.api.api_harness import Api, Echo, deps_of, live_config, serving
from tests.integration.mcp_server.clients import Port

MakePort = Callable[..., Any]


@pytest.fixture
async def make_port(tmp_path: Path) -> AsyncIterator[MakePort]:
    """Open a port with one tool, `echo`; arguments are what `Host` is told."""
    async with AsyncExitStack() as open_:
        store = await Store.open(tmp_path / "prx.db")
        open_.push_async_callback(store.aclose)
        book = LogBook(tmp_path / "logs", max_file_bytes=1 << 20, max_files=4)
        open_.callback(book.close)
        open_.push_async_callback(book.aclose)

        async def make(**mcp_options: Any) -> Port:
            points = ExtensionPoints.on(Bus())
            api = Api(
                TokenStore(tmp_path),
                Catalogue(PluginsConfig, tmp_path, points, HostServices(store, Memory(store), points.bus)),
                points.tools,
                book,
                points.bus,
                live_config(tmp_path),
                mcp_options=mcp_options,
            )
            api.configure(rate_limits={"other": 0})
            api.token, _ = api.tokens.create("admin")
            open_.enter_context(api.router.offering([Echo()]))
            return Port(await open_.enter_async_context(serving(api, build_app(deps_of(api)))))

        yield make


@pytest.fixture(params=[0.5, 0.0], ids=["lean path", "the SDK alone"])
async def port(request: pytest.FixtureRequest, make_port: MakePort) -> Port:
    """The port with and without the short way of calls: a test that takes it holds both to the same behaviour."""
    made: Port = await make_port(quick_secs=request.param)
    return made
