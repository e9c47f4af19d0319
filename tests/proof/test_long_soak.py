"""The soak in its whole length: 20,000 mixed calls, and 1,000 reloads and upgrades under load."""

from tests.support.soak import run_soak


def test_20_000_good_and_hostile_calls_leave_nothing_behind() -> None:
    run_soak("calls", 20_000, more_kib=8 * 1024)


def test_1_000_reloads_and_upgrades_under_load_leave_nothing_behind() -> None:
    run_soak("reloads", 1_000, more_kib=8 * 1024)
