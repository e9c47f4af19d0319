"""A plugin that nobody calls holds as little as it can."""

from tests.support.pages import resident_code_kib
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually


async def test_a_plugin_that_falls_asleep_gives_back_its_code_and_wakes_up_when_called(
    host: PluginHost,
) -> None:
    host.drop("echo")
    async with host.running():
        plugin = await host.until("echo", "loaded")
        assert await host.output("echo", {"text": "awake"}) == "awake"
        await eventually(
            plugin.memory_usage_bytes
        )  # the next call's instance is prepared, and the lane is idle
        assert resident_code_kib(of=".cwasm") > 0
        assert plugin.loaded is not None
        # What its last thread does before it ends; waiting for that takes half a minute.
        plugin.loaded.generation._idle(asleep=True)
        assert resident_code_kib(of=".cwasm") == 0
        assert plugin.memory_usage_bytes() == 0
        assert await host.output("echo", {"text": "awake again"}) == "awake again"
