"""Emulated chat platforms, and the clients of others that have to accept them."""

from pathlib import Path

import pytest

from tests.support.platform_clients import clients


@pytest.fixture(scope="session")
def client_python(pytestconfig: pytest.Config) -> Path:
    """The interpreter that has the clients."""
    return clients(pytestconfig.cache.mkdir("platform-clients"))
