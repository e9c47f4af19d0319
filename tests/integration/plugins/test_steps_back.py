"""Versions that are kept: steps back by hand and by themselves, and what of that lasts over a restart."""

import asyncio
import hashlib
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from prx.core.errors import ConflictError, NotFoundError
from prx.core.event import Event
from tests.components.corpus import component
from tests.support.plugin_host import PluginHost, replace
from tests.support.processes import names_in, threads_named
from tests.support.uploads import install
from tests.support.waiting import eventually
from tests.support.wat import binary

KV = '[plugin]\nname = "{name}"\nversion = "{version}"\n[permissions]\nrequired = ["kv"]\n'

FLAKY = """
(component
  (core module $guest
    (func (export "say") (param $fail i32) (result i32)
      (if (local.get $fail) (then (unreachable)))
      (i32.const {number})))
  (core instance $guest (instantiate $guest))
  (func (export "say") (param "fail" bool) (result s32) (canon lift (core func $guest "say"))))
"""


def flaky(number: int) -> bytes:
    """Return version `number` of a component that answers its number, or traps when it is told to."""
    return binary(FLAKY.format(number=number))


@pytest.fixture
def host(host: PluginHost, tmp_path: Path, compiled: Path) -> PluginHost:
    """A host whose kept versions are its own; compiled code is shared as elsewhere."""
    host.data_dir = tmp_path / "data"
    host.data_dir.mkdir()
    (host.data_dir / "cache").symlink_to(compiled / "cache")
    (compiled / "cache").mkdir(exist_ok=True)
    return host


async def drop(host: PluginHost, number: int) -> None:
    """Install version `number` of the plugin `flaky`, and wait until it is the one that runs."""
    host.drop("flaky", flaky(number))
    await runs(host, number)


async def runs(host: PluginHost, number: int) -> None:
    """Wait until version `number` answers."""
    expected = hashlib.sha256(flaky(number)).hexdigest()

    def running() -> bool:
        loaded = host.plugin("flaky").loaded if "flaky" in host.names() else None
        return loaded is not None and loaded.contents.digest == expected

    await eventually(running)
    assert await said(host) == number


async def said(host: PluginHost) -> Any:
    return await host.output("say", {"fail": False})


async def fail(host: PluginHost, times: int) -> None:
    for _ in range(times):
        result = await host.call("say", {"fail": True})
        assert result.error is not None
        assert result.error.code == "trap"


def rows(host: PluginHost) -> list[tuple[int, str]]:
    return [(row["generation"], row["status"]) for row in host.catalogue.versions("flaky")]


def blobs(host: PluginHost) -> list[str]:
    directory = host.data_dir / "generations"
    return names_in(directory) if directory.is_dir() else []


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
        assert blobs(host) == [f"{hashlib.sha256(flaky(1)).hexdigest()}.wasm"]


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


async def test_a_new_version_whose_calls_fail_is_rolled_back_by_itself(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "prx.plugins.quarantine._WINDOW_SECS", -1.0
    )  # failures too far apart for a quarantine
    said_of_it = "generation 2 was rolled back to generation 1: 5 of its first 6 calls failed, the last one: "
    async with host.running():
        await drop(host, 1)
        await fail(host, 2)  # of the old one: they do not count against the new one
        with host.bus.subscribed(lambda event: event.topic == "prx.plugin.error") as errors:
            await drop(host, 2)
            await fail(host, 5)
            await eventually(lambda: host.plugin("flaky").number == 1)
            event: Event = await anext(errors.__aiter__())
        assert event.payload["plugin"] == "flaky"
        assert (event.payload["from"], event.payload["to"]) == (2, 1)
        assert event.payload["reason"].startswith(said_of_it)
        plugin = await host.until("flaky", "loaded", said_of_it)
        assert await said(host) == 1
        assert rows(host) == [(2, "rolled_back"), (1, "live")]
        assert host.catalogue.versions("flaky")[0]["reason"].startswith(said_of_it)
        [problem] = host.catalogue.problems()
        assert (problem.unit, problem.reason) == ("plugin.flaky", plugin.error)
        assert problem.action == "mend and replace the file, or load it again with `prx plugin reload flaky`"
    for _ in range(2):
        async with host.running():
            await host.until("flaky", "loaded", said_of_it)
            assert await said(host) == 1
    async with host.running():
        await drop(host, 3)
        assert host.plugin("flaky").error is None
        assert host.catalogue.problems() == []


async def test_one_that_was_rolled_back_by_itself_may_be_tried_again_by_a_reload(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        for _ in range(2):
            await fail(host, 5)
            await eventually(lambda: host.plugin("flaky").number == 1)
            assert await said(host) == 1
            plugin = await host.catalogue.reload("flaky")
            assert (plugin.number, plugin.status, plugin.error) == (2, "loaded", None)
        assert await said(host) == 2


async def test_a_rollback_wins_over_the_quarantine(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        for _ in range(20):  # so many good calls that the share of failures stays small
            assert await said(host) == 2
        with host.bus.subscribed(lambda event: event.topic.startswith("prx.plugin.")) as events:
            await fail(host, 5)
            await eventually(lambda: host.plugin("flaky").number == 1)
            topics = [(await anext(events.__aiter__())).topic for _ in range(2)]
        assert topics == ["prx.plugin.loaded", "prx.plugin.error"]
        await host.until("flaky", "loaded", "5 calls failed within 60 s")
        assert await said(host) == 1
    async with host.running():
        await host.until("flaky", "loaded", "5 calls failed within 60 s")


async def test_a_rollback_that_fails_leaves_the_plugin_in_quarantine(host: PluginHost) -> None:
    async with host.running():
        await drop(host, 1)
        await drop(host, 2)
        await eventually(lambda: len(blobs(host)) == 2)
        (host.data_dir / "generations" / f"{hashlib.sha256(flaky(1)).hexdigest()}.wasm").unlink()
        for _ in range(20):
            await said(host)
        with host.bus.subscribed(lambda event: event.topic == "prx.plugin.quarantined") as quarantines:
            await fail(host, 5)
            assert (await anext(quarantines.__aiter__())).payload["plugin"] == "flaky"
        await host.until("flaky", "quarantined", "5 calls failed within 60 s")
        assert host.plugin("flaky").number == 2


async def test_a_version_without_a_predecessor_or_past_its_probation_goes_into_quarantine(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host.running():
        await drop(host, 1)
        await fail(host, 5)
        await host.until("flaky", "quarantined", "5 calls failed")
        sentence = host.plugin("flaky").gate.sentence
        assert sentence is not None
        host.plugin("flaky").failed("a later version does not load")
        assert [problem.since for problem in host.catalogue.problems()] == [sentence.since]
        await drop(host, 2)  # a new version ends it
        monkeypatch.setattr("prx.plugins.gates._PROBATION", timedelta(0))
        await fail(host, 5)
        await host.until("flaky", "quarantined", "5 calls failed")
        assert host.plugin("flaky").number == 2
        plugin = await host.catalogue.roll_back("flaky")  # so does a step back
        assert (plugin.status, plugin.number) == ("loaded", 1)
    async with host.running():
        assert host.at_start == {"flaky": "loaded"}


async def test_calls_that_end_badly_on_the_old_version_do_not_count_against_the_new_one(
    host: PluginHost,
) -> None:
    host.settle("flaky", limits={"max_execution_time_ms": 3000, "max_concurrency": 8})
    async with host.running():
        await drop(host, 1)
        host.drop("flaky", component("sleeper"))
        await eventually(lambda: [spec.name for spec in host.router.specs()] == ["ping", "run", "sleep"])
        late = [asyncio.ensure_future(host.call("sleep", {"nanoseconds": 10**12})) for _ in range(6)]
        await eventually(lambda: threads_named("prx-flaky").count("prx-flaky") >= 6)
        await drop(host, 3)
        codes = {result.error.code for result in await asyncio.gather(*late) if result.error is not None}
        assert codes == {"timeout"}
        assert host.plugin("flaky").status == "loaded"
        assert (await said(host), host.plugin("flaky").number) == (3, 3)
        await eventually(lambda: host.catalogue.versions("flaky")[1].get("failures") == 6)
        assert host.catalogue.versions("flaky")[0]["failures"] == 0


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
