"""The soak in its whole length: 20,000 mixed calls, and 1,000 reloads and upgrades under load."""

from tests.support.plugin_host import PluginHost
from tests.support.soak import check_reloads, check_soak


async def test_20_000_good_and_hostile_calls_leave_nothing_behind(host: PluginHost) -> None:
    await check_soak(host, calls=20_000, more_kib=8 * 1024)


async def test_1_000_reloads_and_upgrades_under_load_leave_nothing_behind(host: PluginHost) -> None:
    await check_reloads(host, rounds=1000, more_kib=8 * 1024)
