"""Moments and spans as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.durations import parse_duration
from prx.core.ids import now_utc
from prx.core.moments import parse_moment


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("2d", timedelta(days=2)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span
    before = now_utc() - span
    assert before <= parse_moment(text) <= now_utc() - span


@pytest.mark.parametrize(
    "text", ["", "0s", "1", "h", "-1h", "1.5h", "1 h", "1H", "100000s", "1h30m", "\u0661h"]
)
def test_what_is_no_span(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-21T10:15:30Z",
        "2026-03-21T10:15:30",
        "2026-03-21 10:15:30.000",
        "2026-03-21T11:15:30+01:00",
        "20260321T101530Z",
    ],
)
def test_a_time_without_a_zone_is_utc(text: str) -> None:
    assert parse_moment(text) == datetime(2026, 3, 21, 10, 15, 30, tzinfo=UTC)


def test_a_date_is_its_first_moment() -> None:
    assert parse_moment("2026-03-21") == datetime(2026, 3, 21, tzinfo=UTC)


def test_a_span_longer_than_time_is_its_beginning() -> None:
    assert parse_moment("99999w") == datetime(1970, 1, 1, tzinfo=UTC)


@given(st.text())
def test_any_other_text_is_refused_with_an_example(text: str) -> None:
    try:
        assert parse_moment(text).tzinfo is UTC
    except ValueError as error:
        assert "2026-03-21T10:15:30Z" in str(error)  # noqa: PT017  # either is right


def test_the_first_moment_of_all_in_a_zone_before_it_is_refused() -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse_moment("0001-01-01T00:00:00+14:00")
