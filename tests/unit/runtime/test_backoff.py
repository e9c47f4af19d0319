"""Pauses: growing, bounded, jittered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.runtime.backoff import Backoff


def test_pauses_double_up_to_the_bound_and_begin_again_after_a_reset() -> None:
    backoff = Backoff(2, 60, chance=lambda: 1.0)
    assert [backoff.pause_secs() for _ in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.pause_secs() == 2


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 1.0), (0.5, 1.5)])
def test_jitter_takes_away_half_of_a_pause_at_most(chance: float, pause: float) -> None:
    assert Backoff(2, 60, chance=lambda: chance).pause_secs() == pause


@given(st.integers(1, 5000), st.floats(0, 1, exclude_max=True))
def test_no_number_of_failures_leads_out_of_the_bounds(failures: int, chance: float) -> None:
    backoff = Backoff(1, 60, chance=lambda: chance)
    pauses = [backoff.pause_secs() for _ in range(failures)]
    assert all(0.5 <= pause <= 60 for pause in pauses)
