"""Signatures in the plugins directory: what loads, what is refused, and what is told of it."""

from pathlib import Path

import pytest

from prx.plugins.signer import generate, sign
from prx.plugins.sources import source_at
from tests.components.corpus import component
from tests.support.packages import contents, package
from tests.support.plugin_host import PluginHost, replace
from tests.support.waiting import eventually


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "author.key"


@pytest.fixture
def key(key_file: Path) -> str:
    return generate(key_file)


def signed(path: Path, key_file: Path) -> Path:
    source = source_at(path)
    assert source is not None
    return sign(source, key_file)[0]


async def test_only_what_a_trusted_key_signed_loads_where_signatures_are_required(
    host: PluginHost, key: str, key_file: Path, tmp_path: Path
) -> None:
    generate(tmp_path / "stranger.key")
    host.configure(require_signature=True, trusted_keys=(key,))
    signed(host.drop("echo"), key_file)
    signed(package(host.directory, "sum", wasm=component("adder")), tmp_path / "stranger.key")
    host.drop("counter", manifest=contents("counter")["plugin.toml"].decode())
    async with host.running():
        plugin = await host.until("echo", "loaded")
        assert plugin.detail()["signature"] == {"key": key, "trusted": True}
        await host.until("sum", "error", "which is none of plugins.trusted_keys")
        await host.until("counter", "error", "plugins.require_signature is set and it is not signed")
        host.configure(require_signature=False)
        plugin = await host.catalogue.reload("sum")
        assert plugin.detail()["signature"]["trusted"] is False
        plugin = await host.catalogue.reload("counter")
        assert plugin.detail()["signature"] is None


async def test_a_signature_that_comes_beside_a_file_is_noticed(
    host: PluginHost, key: str, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only a notice tells of it.
    monkeypatch.setattr("prx.plugins.watcher._POLL_SECS", 3600.0)
    host.configure(require_signature=True, trusted_keys=(key,))
    bare = host.drop("echo")
    directory = host.drop("adder", manifest=contents("sum")["plugin.toml"].decode())
    async with host.running():
        await host.until("echo", "error", "it is not signed")
        signed(bare, key_file)
        await host.until("echo", "loaded")
        await host.until("sum", "error", "it is not signed")
        signed(directory, key_file)
        await host.until("sum", "loaded")


async def test_a_plugin_that_was_tampered_with_never_loads(
    host: PluginHost, key_file: Path, key: str
) -> None:
    """Whatever the configuration says: what is signed by nobody loads here, what is signed wrongly does not."""
    path = host.drop("echo")
    signature = signed(path, key_file)
    async with host.running():
        plugin = await host.until("echo", "loaded")
        assert plugin.detail()["signature"] == {"key": key, "trusted": False}
        replace(path, component("adder"))
        await eventually(lambda: plugin.error is not None)
        assert "its signature does not fit" in str(plugin.error)
        assert plugin.capabilities == ["tool:echo"]
        signature.unlink()
        await eventually(lambda: plugin.capabilities == ["tool:add"])
