"""Real MCP servers: those of npm are installed once, and kept between runs."""

from pathlib import Path

import pytest

from tests.support.npm_servers import npm_servers


@pytest.fixture(scope="session")
def npm(pytestconfig: pytest.Config) -> Path:
    """The modules of `tests/components/mcp/npm`."""
    return npm_servers(pytestconfig.cache.mkdir("npm"))
