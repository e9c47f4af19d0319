"""A client for each test."""

from collections.abc import AsyncIterator

import pytest

from prx.runtime.egress.client import EgressClient


@pytest.fixture
async def client() -> AsyncIterator[EgressClient]:
    """A client with the system's names."""
    async with EgressClient() as client:
        yield client
