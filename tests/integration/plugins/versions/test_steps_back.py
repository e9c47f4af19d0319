"""Steps back by hand, and what of them lasts over a restart."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from prx.core.errors import ConflictError, NotFoundError
from tests.integration.plugins.versions.flaky import KV, blobs, drop, flaky, rows, said
from tests.support.plugin_host import PluginHost, replace
from tests.support.uploads import install
from tests.support.waiting import eventually


async def test_a_step_back_runs_the_version_before_and_says_so(host: PluginHost) -> None:
    async with host.running():
        for number in (1, 2, 3):
            await drop(host, number)
        plugin = await host.catalogue.roll_back("flaky")
        assert (plugin.status, plugin.number, plugin.error) == ("loaded", 2, None)
        assert await said(host) == 2
        detail = plugin.detail()
        assert detail["path"] == str(host.directory / "flaky.wasm")
        shown = detail["rolled_back"]
        assert (shown["from"], shown["to"], shown["reason"]) == (3, 2, "an operator rolled it back")
        assert rows(host) == [(3, "rolled_back"), (2, "live"), (1, "kept")]
        assert host.catalogue.problems() == []
        assert (host.directory / "flaky.wasm").read_bytes() == flaky(3)


async def test_a_step_back_lasts_over_restarts_and_a_file_that_is_only_touched(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await host.catalogue.roll_back("flaky")
        host.drop("flaky", flaky(2))  # the same content under another inode
        await eventually(lambda: not host.plugin("flaky").loading)
        assert await said(host) == 1
    for _ in range(2):
        async with host.running():
            assert host.at_start == {"flaky": "loaded"}
            assert await said(host) == 1
            assert host.plugin("flaky").detail()["rolled_back"]["from"] == 2
            assert rows(host) == [(2, "rolled_back"), (1, "live")]


async def test_a_changed_file_ends_a_step_back(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await host.catalogue.roll_back("flaky")
        await drop(host, 3)
        assert "rolled_back" not in host.plugin("flaky").detail()
        assert rows(host) == [(3, "live"), (2, "rolled_back"), (1, "kept")]
        # The one that was rolled back is no longer the newest before.
        assert (await host.catalogue.roll_back("flaky")).number == 1
        assert await said(host) == 1
    async with host.running():
        assert await said(host) == 1


async def test_a_reload_ends_a_step_back(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await host.catalogue.roll_back("flaky")
        plugin = await host.catalogue.reload("flaky")
        assert (plugin.number, plugin.rolled_back) == (2, None)
        assert await said(host) == 2
    async with host.running():
        assert await said(host) == 2


async def test_installing_what_was_rolled_back_tries_it_again(host: PluginHost, tmp_path: Path) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await host.catalogue.roll_back("flaky")
        plugin, new = await install(host, replace(tmp_path / "flaky.wasm", flaky(2)))
        assert (plugin.number, plugin.rolled_back, new) == (2, None, False)
        assert await said(host) == 2


async def test_steps_back_and_forth_between_all_that_is_kept_last(host: PluginHost) -> None:
    async with host.running():
        for number in (1, 2, 3):
            await drop(host, number)
        for number in (2, 1):
            await host.catalogue.roll_back("flaky")
            assert await said(host) == number
    async with host.running():
        assert await said(host) == 1
        assert host.plugin("flaky").detail()["rolled_back"]["from"] == 2
        await host.catalogue.roll_back("flaky", 2)
    async with host.running():
        assert await said(host) == 2
        plugin = await host.catalogue.roll_back("flaky", 3)
        assert (plugin.number, plugin.rolled_back) == (3, None)
    async with host.running():
        assert await said(host) == 3
        assert rows(host) == [(3, "live"), (2, "kept"), (1, "kept")]


async def test_where_there_is_nothing_to_step_back_to_the_reason_is_told(host: PluginHost) -> None:
    async with host.running():
        with pytest.raises(NotFoundError, match='Plugin "flaky" not found'):
            await host.catalogue.roll_back("flaky")
        await drop(host, 1)
        with pytest.raises(ConflictError, match="has no older generation to step back to"):
            await host.catalogue.roll_back("flaky")
        with pytest.raises(ConflictError, match="is the one that runs"):
            await host.catalogue.roll_back("flaky", 1)
        with pytest.raises(NotFoundError, match=r"generation 7 .* is not kept; there are: 1"):
            await host.catalogue.roll_back("flaky", 7)
        await drop(host, 2)
        await host.catalogue.disable("flaky")
        with pytest.raises(ConflictError, match="is disabled; enable it first"):
            await host.catalogue.roll_back("flaky")


@pytest.mark.parametrize(
    ("damage", "said_of_it"), [("gone", "cannot be read"), ("changed", "was changed on disk")]
)
async def test_a_copy_that_is_gone_or_changed_is_not_loaded_and_what_runs_still_does(
    damage: str, said_of_it: str, host: PluginHost
) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await eventually(lambda: len(blobs(host)) == 2)
        copy = host.data_dir / "generations" / f"{hashlib.sha256(flaky(1)).hexdigest()}.wasm"
        copy.unlink() if damage == "gone" else copy.write_bytes(flaky(9))
        with pytest.raises(ConflictError, match=f"generation 1 does not load: .*{said_of_it}"):
            await host.catalogue.roll_back("flaky")
        assert await said(host) == 2
        assert rows(host)[0] == (2, "live")


async def test_a_kept_version_that_requires_what_is_not_granted_any_more_does_not_load(
    host: PluginHost,
) -> None:
    kv = KV.format(name="flaky", version="1.0.0")
    newer = kv.replace("required", "optional").replace("1.0.0", "1.1.0")
    async with host.running():
        host.drop("flaky", flaky(1), manifest=kv)
        await host.until("flaky", "loaded")
        replace(host.directory / "flaky" / "plugin.toml", newer.encode())
        await eventually(lambda: host.plugin("flaky").version == "1.1.0")
        await host.catalogue.decide("flaky", {"kv": False})
        with pytest.raises(
            ConflictError, match='generation 1 does not load: requires "kv", which is not granted'
        ):
            await host.catalogue.roll_back("flaky")
        await host.catalogue.decide("flaky", {"kv": True})
        assert (await host.catalogue.roll_back("flaky")).version == "1.0.0"
    async with host.running():
        assert host.plugin("flaky").version == "1.0.0"


async def test_the_operators_settings_come_from_now_and_not_from_then(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        host.settle("flaky", tool_prefix="my_", limits={"max_memory_mb": 7})
        await host.catalogue.roll_back("flaky")
        assert await host.output("my_say", {"fail": False}) == 1
        assert host.plugin("flaky").detail()["limits"]["max_memory_mb"] == 7


async def test_steps_back_and_reloads_under_load_fail_no_call(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        over = False

        async def client() -> set[int]:
            answers = set()
            while not over:
                answers.add(await said(host))
            return answers

        clients = [asyncio.ensure_future(client()) for _ in range(16)]
        for _ in range(10):
            assert (await host.catalogue.roll_back("flaky")).number == 1
            assert (await host.catalogue.reload("flaky")).number == 2
        over = True
        assert set.union(*await asyncio.gather(*clients)) <= {1, 2}
