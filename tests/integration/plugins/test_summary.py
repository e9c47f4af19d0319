"""All plugins at a glance: at once after what was done to one, after a second for what one does by itself."""

from prx.plugins.summary import Summaries
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually


async def test_what_was_done_to_a_plugin_counts_at_once(host: PluginHost) -> None:
    host.drop("echo")
    host.drop("broken", b"no component")
    async with host.running():
        await host.until("echo", "loaded")
        await eventually(lambda: host.plugin("broken").status == "error")
        found = host.catalogue.summary()
        assert (found.loaded, found.total) == (1, 2)
        assert [problem.unit for problem in found.problems] == ["plugin.broken"]
        for _ in range(3):
            await host.catalogue.disable("echo")
            assert host.catalogue.summary().loaded == 0
            await host.catalogue.enable("echo")
            assert host.catalogue.summary().loaded == 1
        await host.catalogue.remove("broken", purge=False)
        assert host.catalogue.summary() == (1, 1, [])


async def test_what_a_plugin_does_by_itself_counts_after_a_second(host: PluginHost) -> None:
    now = 1000.0
    host.drop("echo")
    async with host.running():
        plugin = await host.until("echo", "loaded")
        summaries = Summaries({"echo": plugin}, lambda: now)
        assert summaries.current().loaded == 1
        plugin.disable()
        now += 0.9
        assert summaries.current().loaded == 1
        now += 0.1
        assert summaries.current().loaded == 0
        plugin.enable()
        summaries.outdate()
        assert summaries.current().loaded == 1
