"""The same host as the integration tests have."""

from tests.integration.plugins.conftest import compiled, host

__all__ = ["compiled", "host"]
