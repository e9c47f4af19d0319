"""Real MCP servers: those of npm are installed once, and kept between runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.npm_servers import npm_servers
from tests.support.servers.ports import reserved_port


@pytest.fixture(scope="session")
def npm(pytestconfig: pytest.Config) -> Path:
    """The modules of `tests/components/mcp/npm`."""
    return npm_servers(pytestconfig.cache.mkdir("npm"))


@pytest.fixture
def port() -> Iterator[int]:
    """A port for a server that is started after it was configured, or again."""
    with reserved_port() as port:
        yield port
