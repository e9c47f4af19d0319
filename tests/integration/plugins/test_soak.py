"""Good and hostile calls, reloads and upgrades leave nothing behind. The long forms are in `tests/proof`."""

import pytest

from tests.support.soak import run_soak

# So short a run only shows what is lost in large pieces: the allocator's arenas are still filling.
_MORE_KIB = 24 * 1024


@pytest.mark.slow
def test_good_and_hostile_calls_leave_nothing_behind() -> None:
    run_soak("calls", 600, more_kib=_MORE_KIB)


@pytest.mark.slow
def test_reloads_and_upgrades_under_load_leave_nothing_behind() -> None:
    run_soak("reloads", 30, more_kib=_MORE_KIB)
