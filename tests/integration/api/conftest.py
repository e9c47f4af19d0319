"""The port that the tests of this directory call."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api_harness import Api, Echo, deps_of, serving

from prx.api.app import build_app
from prx.api.tokens import TokenStore
from prx.plugins.catalogue import Catalogue


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def api(tmp_path: Path, echo: Echo) -> AsyncIterator[Api]:
    """The port with one tool, ready to serve."""
    harness = Api(TokenStore(tmp_path), Catalogue())
    harness.token, _ = harness.tokens.create("admin")
    with harness.router.offering([echo]):
        async with serving(harness, build_app(deps_of(harness))):
            yield harness
