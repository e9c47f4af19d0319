"""Good and hostile calls, reloads and upgrades leave nothing behind. The long forms are in `tests/proof`."""

import pytest

from tests.support.plugin_host import PluginHost
from tests.support.soak import check_reloads, check_soak

# So short a run only shows what is lost in large pieces: the allocator's arenas are still filling.
_MORE_KIB = 48 * 1024


@pytest.mark.slow
async def test_good_and_hostile_calls_leave_nothing_behind(host: PluginHost) -> None:
    await check_soak(host, calls=600, more_kib=_MORE_KIB)


async def test_reloads_and_upgrades_under_load_leave_nothing_behind(host: PluginHost) -> None:
    await check_reloads(host, rounds=30, more_kib=_MORE_KIB)
