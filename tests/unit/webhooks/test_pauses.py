"""Pauses between attempts: from seconds to hours, jittered, or as the receiver asks."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.webhooks.pauses import MOST_ASKED_SECS, pause_secs, retry_after_secs

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def test_pauses_grow_from_seconds_to_hours() -> None:
    assert [pause_secs(attempts, chance=lambda: 1.0) for attempts in range(1, 9)] == [
        5, 20, 80, 320, 1280, 5120, 4 * 3600, 4 * 3600,
    ]  # fmt: skip


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_at_least_half_of_its_step(attempts: int, chance: float) -> None:
    whole = pause_secs(attempts, chance=lambda: 1.0)
    assert whole / 2 <= pause_secs(attempts, chance=lambda: chance) <= whole <= 4 * 3600


@pytest.mark.parametrize(
    ("value", "secs"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("999999999999", MOST_ASKED_SECS),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("Tue, 24 Nov 2099 11:00:00 GMT", MOST_ASKED_SECS),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
def test_a_receiver_asks_in_seconds_or_with_a_date(value: str | None, secs: float | None) -> None:
    assert retry_after_secs(value, lambda: NOW) == secs


@given(st.text())
def test_whatever_a_receiver_says_is_read_or_passed_over(value: str) -> None:
    secs = retry_after_secs(value, lambda: NOW)
    assert secs is None or 0 <= secs <= MOST_ASKED_SECS
