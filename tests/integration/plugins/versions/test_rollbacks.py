"""Versions whose calls fail: they are rolled back by themselves, or go into quarantine."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from prx.core.event import Event
from tests.components.corpus import component
from tests.integration.plugins.versions.flaky import blobs, drop, fail, flaky, rows, said
from tests.support.plugin_host import PluginHost
from tests.support.processes import threads_named
from tests.support.waiting import eventually


async def test_a_new_version_whose_calls_fail_is_rolled_back_by_itself(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Failures are too far apart for a quarantine.
    monkeypatch.setattr("prx.plugins.quarantine._WINDOW_SECS", -1.0)
    said_of_it = "generation 2 was rolled back to generation 1: 5 of its first 6 calls failed, the last one: "
    async with host.running():
        await drop(host, 1)
        await fail(host, 2)  # of the old one: they do not count against the new one
        with host.bus.subscribed(lambda topic, _source: topic == "prx.plugin.error") as errors:
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
        with host.bus.subscribed(lambda topic, _source: topic.startswith("prx.plugin.")) as events:
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
        with host.bus.subscribed(lambda topic, _source: topic == "prx.plugin.quarantined") as quarantines:
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
        # It is over at once: only the quarantine is left.
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
