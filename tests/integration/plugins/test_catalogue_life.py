"""The catalogue as a unit: it ends within seconds whatever runs, leaves nothing behind, and may run again."""

import asyncio
import threading
from pathlib import Path

import pytest

from prx.core.errors import ConflictError, NotFoundError, UnavailableError
from prx.core.event import topics
from prx.core.tool import ToolResult
from prx.plugins.sources import Names, Source
from tests.components.corpus import component
from tests.support.plugin_host import PluginHost, replace
from tests.support.processes import children, names_in, threads_named
from tests.support.waiting import eventually

HOUR_MS = 3_600_000


def own_threads() -> list[str]:
    return threads_named("prx-")


@pytest.mark.parametrize("name", ["loop", "sleeper", "log-flood", "stdout-flood"])
async def test_it_ends_while_a_guest_would_go_on_for_an_hour(name: str, host: PluginHost) -> None:
    host.limit(max_execution_time_ms=HOUR_MS if name != "sleeper" else 2000)
    host.drop(name)
    async with host.running():
        await host.until(name, "loaded")
        calls = [asyncio.ensure_future(host.call("run")) for _ in range(3)]
        await eventually(lambda: host.plugin(name).memory_usage_bytes() > 0)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {end.error.code for end in ended if isinstance(end, ToolResult) and end.error} <= {"cancelled"}
    assert all(isinstance(end, (ToolResult, UnavailableError)) for end in ended)
    await eventually(lambda: own_threads() == [])


async def test_it_ends_while_it_looks_at_its_directory(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, go_on, look = threading.Event(), threading.Event(), Names.by_name

    def slow(names: Names, directory: Path) -> dict[str, list[Source]]:
        looking.set()
        go_on.wait(30)
        return look(names, directory)

    try:
        async with host.running():
            monkeypatch.setattr(Names, "by_name", slow)
            host.drop("echo")
            await eventually(looking.is_set)
    finally:
        go_on.set()


async def test_it_ends_while_an_old_version_still_runs(host: PluginHost) -> None:
    host.limit(max_execution_time_ms=HOUR_MS, max_concurrency=1)
    host.drop("sum", component("loop"))
    async with host.running():
        await host.until("sum", "loaded")
        calls = [asyncio.ensure_future(host.call("run")) for _ in range(3)]
        await eventually(lambda: host.plugin("sum").memory_usage_bytes() > 0)
        host.drop("sum", component("adder"))
        await eventually(lambda: [spec.name for spec in host.router.specs()] == ["add"])
        assert not any(call.done() for call in calls)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(ended[0], ToolResult)
    assert all(isinstance(end, UnavailableError) for end in ended[1:])
    await eventually(lambda: own_threads() == [])


async def test_it_ends_while_a_plugin_starts_up(host: PluginHost) -> None:
    host.limit(max_execution_time_ms=HOUR_MS)
    async with host.running():
        host.drop("loop-at-start")
        await host.until("loop-at-start", "loading")
        await eventually(lambda: "prx-loop-at-start" in own_threads())
    await eventually(lambda: own_threads() == [])


async def test_it_ends_while_a_plugin_compiles_and_leaves_no_process_and_no_half_file(
    host: PluginHost, tmp_path: Path
) -> None:
    host.data_dir = tmp_path / "fresh"
    before = children()
    host.drop("every-type")
    async with host.running():
        assert host.at_start == {"every-type": "loading"}
        await eventually(lambda: children() != before or host.plugin("every-type").status == "loaded")
    assert children() == before
    assert not [name for name in names_in(tmp_path / "fresh" / "cache") if name.startswith("new-")]


async def test_when_it_has_ended_no_tool_and_no_thread_is_left(host: PluginHost) -> None:
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        await host.catalogue.disable("echo")
        host.drop("adder")
        await host.until("adder", "loaded")
        await host.output("add", {"a": 1, "b": 2})
    assert host.router.specs() == []
    for tool in ("add", "echo"):
        with pytest.raises(NotFoundError):
            await host.call(tool, {})
    assert host.catalogue.list() == []
    await eventually(lambda: own_threads() == [])


async def test_it_can_run_again_as_a_supervisor_would_have_it(host: PluginHost) -> None:
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        for _ in range(2):
            await host.restart()
            await host.until("echo", "loaded")
            assert await host.output("echo", {"text": "again"}) == "again"


async def test_a_source_that_changes_while_it_loads_ends_as_its_last_version(host: PluginHost) -> None:
    """The first version fails only after the second one was found: its failure must not stick to the second."""
    host.limit(max_execution_time_ms=700)
    host.drop("late", component("loop-at-start"))
    async with host.running():
        await host.until("late", "error", "timeout")
        replace(host.directory / "late.wasm", component("loop-at-start") + b"\0\x02\x01x")
        await eventually(lambda: "prx-late" in own_threads())
        host.drop("late", component("adder"))
        await host.until("late", "loaded")
        await eventually(lambda: own_threads().count("prx-late") <= 1 and not host.plugin("late").loading)
        plugin = host.plugin("late")
        assert (plugin.status, plugin.error) == ("loaded", None)
        host.drop("late", component("loop-at-start"))
        await eventually(lambda: own_threads().count("prx-late") > 0)
        (host.directory / "late.wasm").unlink()
        await eventually(lambda: host.names() == [])
        assert host.catalogue.problems() == []


async def test_changes_of_one_plugin_are_one_at_a_time(host: PluginHost) -> None:
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        actions = [
            host.catalogue.reload("echo"),
            host.catalogue.disable("echo"),
            host.catalogue.reload("echo"),
            host.catalogue.enable("echo"),
            host.catalogue.disable("echo"),
            host.catalogue.enable("echo"),
            host.catalogue.reload("echo"),
        ]
        ended = await asyncio.gather(*actions, return_exceptions=True)
        assert {type(end) for end in ended if isinstance(end, BaseException)} <= {ConflictError}
        await host.catalogue.enable("echo")
        assert host.plugin("echo").status == "loaded"
        assert await host.output("echo", {"text": "x"}) == "x"
        assert [spec.name for spec in host.router.specs()] == ["echo"]


async def test_it_tells_the_bus_what_it_loads_and_what_fails(host: PluginHost) -> None:
    async with host.running():
        with host.bus.subscribed(topics("prx.plugin.**")) as events:
            heard = events.__aiter__()
            path = host.drop("echo")
            event = await anext(heard)
            assert (event.topic, event.payload["plugin"]) == ("prx.plugin.loaded", "echo")
            host.drop("bad", b"text")
            event = await anext(heard)
            assert (event.topic, event.payload["plugin"]) == ("prx.plugin.error", "bad")
            path.unlink()
            event = await anext(heard)
            assert (event.topic, event.payload) == ("prx.plugin.unloaded", {"plugin": "echo"})


async def test_a_store_that_fails_stops_no_plugin_and_no_stopping(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many looks while the store is gone.
    monkeypatch.setattr("prx.plugins.watcher._POLL_SECS", 0.05)
    host.drop("echo")
    host.drop("prx-tool")
    async with host.running():
        await host.until("echo", "loaded")
        await host.until("prx-tool", "loaded")
        await host.store.aclose()
        refused = await host.call("remember")  # what was refused is to be written, and cannot be
        assert refused.error is not None
        assert refused.error.code == "permission_denied"
        host.drop("adder")
        await host.until("adder", "loaded")
        assert await host.output("echo", {"text": "x"}) == "x"
    await eventually(lambda: own_threads() == [])


async def test_a_catalogue_that_does_not_run_asks_to_come_back(host: PluginHost) -> None:
    async with host.running():
        pass
    with pytest.raises(UnavailableError, match="the plugins are being started; try again"):
        _ = host.catalogue._activation.loader
