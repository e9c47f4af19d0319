"""Cron expressions and time zones."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.errors import BadRequestError
from prx.runtime.schedule import Schedule

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def after(expression: str, moment: str, timezone: str = "UTC") -> str:
    found = Schedule(expression, timezone).next_after(datetime.fromisoformat(moment))
    return found.strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("* * * * *", "2026-03-28 10:16:00"),
        ("*/5 * * * *", "2026-03-28 10:20:00"),
        ("0 3 * * *", "2026-03-29 03:00:00"),
        ("0 0 1 1 *", "2027-01-01 00:00:00"),
        ("30 8 * * mon-fri", "2026-03-30 08:30:00"),
        ("0 12 L * *", "2026-03-31 12:00:00"),
        ("*/10 * * * * *", "2026-03-28 10:15:40"),
    ],
)
def test_the_next_time_that_fits_comes_after_the_moment(expression: str, found: str) -> None:
    assert after(expression, "2026-03-28T10:15:30Z") == found


def test_a_time_zone_moves_the_hour_and_its_summer_time_counts() -> None:
    assert after("0 3 * * *", "2026-01-10T12:00:00Z", "Europe/Berlin") == "2026-01-11 02:00:00"
    assert after("0 3 * * *", "2026-07-10T12:00:00Z", "Europe/Berlin") == "2026-07-11 01:00:00"


def test_a_daily_job_runs_once_on_the_days_when_the_clocks_change() -> None:
    # In Berlin 02:30 does not exist on 29 March 2026, and exists twice on 25 October.
    daily = Schedule("30 2 * * *", "Europe/Berlin")
    for first in (datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 10, 23, 12, tzinfo=UTC)):
        moment, runs = first, []
        while moment < first + timedelta(days=4):
            moment = daily.next_after(moment)
            runs.append(moment)
        gaps = [later - earlier for earlier, later in pairwise(runs)]
        assert all(timedelta(hours=22) < gap < timedelta(hours=26) for gap in gaps), runs


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "it has 5 fields"),
        ("* * * *", "it has 5 fields"),
        ("* * * * * * *", "it has 5 fields"),
        ("61 * * * *", "Bad minute"),
        ("* * * * nosuchday", "Bad day-of-week"),
        ("0 0 31 2 *", "Bad day-of-month"),
        ("*/0 * * * *", "Bad minute"),
        ("9" * 200, "it has 5 fields"),
    ],
)
def test_what_is_no_cron_expression_is_refused_with_an_example(expression: str, why: str) -> None:
    with pytest.raises(BadRequestError, match=r"is no cron expression: .* \(for example") as refused:
        Schedule(expression)
    assert why in refused.value.message


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "\0", "/etc/localtime"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="is no time zone: use a name of the IANA database"):
        Schedule("* * * * *", name)


@given(st.text(max_size=150))
def test_any_text_is_an_expression_that_is_due_or_refused(text: str) -> None:
    try:
        schedule = Schedule(text)
    except BadRequestError:
        return
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert schedule.next_after(moment) > moment


FIELD = st.sampled_from(["*", "*/7", "3", "1-5", "2,4"])


@given(st.lists(FIELD, min_size=5, max_size=6), MOMENTS)
def test_times_only_go_forward(fields: list[str], moment: datetime) -> None:
    schedule = Schedule(" ".join(fields))
    first = schedule.next_after(moment)
    assert moment < first < schedule.next_after(first)
