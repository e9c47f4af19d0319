from pathlib import Path

import pytest

from tests.support.plugin_host import PluginHost


@pytest.fixture
def host(host: PluginHost, tmp_path: Path, compiled: Path) -> PluginHost:
    """A host whose kept versions are its own; compiled code is shared as elsewhere."""
    host.data_dir = tmp_path / "data"
    host.data_dir.mkdir()
    (host.data_dir / "cache").symlink_to(compiled / "cache")
    (compiled / "cache").mkdir(exist_ok=True)
    return host
