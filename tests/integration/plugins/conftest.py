"""A plugin host for each test; compiled code is shared, so that each component is compiled once a session."""

from pathlib import Path

import pytest

from tests.support.javascript import javascript_guest
from tests.support.plugin_host import PluginHost


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose cache every host of the session shares."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def host(tmp_path: Path, compiled: Path) -> PluginHost:
    """A host that does not run yet, with an empty directory."""
    directory = tmp_path / "plugins"
    directory.mkdir()
    return PluginHost(directory, compiled, store=tmp_path / "store.db")


@pytest.fixture(scope="session")
def javascript(pytestconfig: pytest.Config) -> bytes:
    """The component of `tests/components/javascript`."""
    return javascript_guest(pytestconfig.cache.mkdir("javascript"))
