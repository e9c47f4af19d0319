"""Packages in the plugins directory: found, loaded, replaced, doubled and damaged."""

import pytest

from tests.components.corpus import component
from tests.support.packages import contents, package
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually


async def test_a_package_is_loaded_under_the_name_in_its_manifest_and_replaced(host: PluginHost) -> None:
    async with host.running():
        path = package(host.directory, "parrot")
        plugin = await host.until("parrot", "loaded")
        assert (plugin.version, plugin.capabilities) == ("1.2.0", ["tool:echo"])
        assert await host.output("echo", {"text": "hello"}) == "hello"
        package(host.directory, "parrot", "1.3.0").rename(path)
        await eventually(lambda: host.plugin("parrot").version == "1.3.0")
        assert "rename it" in host.plugin("parrot").detail()["warnings"][0]
        path.unlink()
        await eventually(lambda: host.catalogue.list() == [])


async def test_a_package_beside_its_older_version_is_an_error_that_names_both(host: PluginHost) -> None:
    async with host.running():
        older = package(host.directory, "parrot")
        await host.until("parrot", "loaded")
        newer = package(host.directory, "parrot", "1.3.0")
        host.drop("echo", manifest=contents("parrot")["plugin.toml"].decode())
        plugin = await host.until(
            "parrot", "error", f'"parrot": {host.directory / "echo"} and {older} and {newer}'
        )
        newer.unlink()
        await host.until("parrot", "error", f'"parrot": {host.directory / "echo"} and {older};')
        (host.directory / "echo" / "plugin.toml").unlink()
        await host.until("parrot", "loaded")
        assert plugin.version == "1.2.0"


async def test_a_damaged_package_leaves_the_version_before_it_serving(host: PluginHost) -> None:
    async with host.running():
        path = package(host.directory, "parrot")
        await host.until("parrot", "loaded")
        whole = path.read_bytes()
        path.write_bytes(b"damaged")
        await eventually(lambda: host.plugin("parrot").error is not None)
        assert "no gzipped tar" in str(host.plugin("parrot").error)
        assert await host.output("echo", {"text": "x"}) == "x"
        path.write_bytes(whole)
        await host.until("parrot", "loaded")


async def test_a_package_that_is_written_piece_by_piece_is_never_in_error(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is known once its manifest is there; until it is whole it loads."""
    # However slow the writing is.
    monkeypatch.setattr("prx.plugins.inventory._UNFINISHED_SECS", 3600.0)
    whole = package(host.directory, "parrot", wasm=component("every-type"))
    content = whole.read_bytes()
    whole.unlink()
    async with host.running():
        for quarter in range(1, 4):
            whole.write_bytes(content[: quarter * len(content) // 4])
            await eventually(lambda: [plugin.status for plugin in host.catalogue.list()] == ["loading"])
        whole.write_bytes(content)
        await host.until("parrot", "loaded")
        assert host.names() == ["parrot"]
