"""Versions that loaded are kept: how many, for how long, and what runs where a newer one does not load."""

import hashlib
import stat

from tests.components.corpus import component
from tests.integration.plugins.versions.flaky import KV, blobs, drop, flaky, rows, said
from tests.support.plugin_host import PluginHost, replace
from tests.support.waiting import eventually


async def test_each_version_that_loaded_is_kept_up_to_the_number_that_is_set(host: PluginHost) -> None:
    async with host.running():
        for number in range(1, 5):
            await drop(host, number)
        assert rows(host) == [(4, "live"), (3, "kept"), (2, "kept")]
        await eventually(lambda: len(blobs(host)) == 3)
        directory = host.data_dir / "generations"
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
        host.configure(keep_generations=2)
        await drop(host, 5)
        assert rows(host) == [(5, "live"), (4, "kept")]
        await eventually(lambda: len(blobs(host)) == 2)


async def test_the_same_content_is_the_same_generation_and_numbers_go_on_over_a_restart(
    host: PluginHost,
) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await host.catalogue.reload("flaky")
        host.drop("flaky", flaky(2))
        await host.catalogue.reload("flaky")
        assert rows(host) == [(2, "live"), (1, "kept")]
    async with host.running():
        assert rows(host) == [(2, "live"), (1, "kept")]
        await drop(host, 3)
        assert rows(host) == [(3, "live"), (2, "kept"), (1, "kept")]
        await drop(host, 1)
        assert rows(host) == [(3, "kept"), (2, "kept"), (1, "live")]


async def test_the_calls_of_a_version_count_also_in_the_moment_after_it_was_loaded_again(
    host: PluginHost,
) -> None:
    async with host.running():
        await drop(host, 1)
        [before] = host.catalogue.versions("flaky")
        assert before["calls"] > 0
        await host.catalogue.reload("flaky")
        assert host.catalogue.versions("flaky")[0]["calls"] == before["calls"]


async def test_a_boot_from_the_cache_copies_nothing(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await eventually(lambda: len(blobs(host)) == 2)
    directory = host.data_dir / "generations"
    before = {path.name: path.stat().st_ino for path in directory.iterdir()}
    async with host.running():
        assert host.at_start == {"flaky": "loaded"}
    assert {path.name: path.stat().st_ino for path in directory.iterdir()} == before


async def test_what_nobody_refers_to_is_removed_at_the_start_and_after_a_version_that_does_not_load(
    host: PluginHost,
) -> None:
    async with host.running():
        await drop(host, 1)
        await eventually(lambda: len(blobs(host)) == 1)
        host.drop("flaky", component("trap-at-start"))
        await host.until("flaky", "loaded", "it does not start")
        await eventually(lambda: len(blobs(host)) == 1)
    (host.data_dir / "generations" / f"{'0' * 64}.wasm").write_bytes(b"of nobody")
    (host.data_dir / "generations" / "new-0123").write_bytes(b"half of one")
    async with host.running():
        # What does not load was copied once more, and goes when that is seen.
        await eventually(lambda: blobs(host) == [f"{hashlib.sha256(flaky(1)).hexdigest()}.wasm"])


async def test_a_removed_plugin_leaves_no_version_behind(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await host.catalogue.roll_back("flaky")
        await eventually(lambda: len(blobs(host)) == 2)
        await host.catalogue.remove("flaky", purge=False)
        assert blobs(host) == []
        await drop(host, 2)
        assert rows(host) == [(1, "live")]


async def test_a_disk_that_refuses_the_copy_is_told_and_stops_nothing(host: PluginHost) -> None:
    (host.data_dir / "generations").write_text("in the way of the directory")
    async with host.running():
        await drop(host, 1)
        await eventually(lambda: host.plugin("flaky").not_kept is not None)
        [problem] = host.catalogue.problems()
        assert problem.reason.startswith("it cannot be kept for a step back: ")
        assert problem.action == "free some disk space, then `prx plugin reload flaky`"
        (host.data_dir / "generations").unlink()
        await host.catalogue.reload("flaky")
        await eventually(lambda: len(blobs(host)) == 1)
        assert host.catalogue.problems() == []


async def test_an_upgrade_that_does_not_load_leaves_the_old_version_serving_over_a_restart_too(
    host: PluginHost,
) -> None:
    async with host.running():
        await drop(host, 1)
    host.drop("flaky", component("core-module"))
    async with host.running():
        await host.until("flaky", "loaded", "is a core WebAssembly module")
        assert await said(host) == 1
        assert rows(host) == [(1, "live")]
        [problem] = host.catalogue.problems()
        assert problem.action == "mend the file: it is loaded again by itself"
        await drop(host, 2)
        assert host.plugin("flaky").error is None


async def test_an_upgrade_that_waits_for_a_grant_leaves_the_old_version_serving_over_a_restart_too(
    host: PluginHost,
) -> None:
    host.configure(auto_grant=())
    kv = KV.format(name="flaky", version="2.0.0")
    plain = kv.partition("[permissions]")[0].replace("2.0.0", "1.0.0")
    async with host.running():
        host.drop("flaky", flaky(1), manifest=plain)
        await host.until("flaky", "loaded")
        replace(host.directory / "flaky" / "plugin.toml", kv.encode())
        await host.until("flaky", "loaded", 'requires "kv", which is not granted')
    async with host.running():
        plugin = await host.until("flaky", "loaded", 'requires "kv", which is not granted')
        assert (plugin.version, await said(host)) == ("1.0.0", 1)
        await host.catalogue.decide("flaky", {"kv": True})
        await host.until("flaky", "loaded")
        assert plugin.version == "2.0.0"
