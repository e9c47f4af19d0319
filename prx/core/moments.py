"""Moments as people write them: a time, or how long ago it was."""

from datetime import UTC, datetime

from prx.core.durations import parse_duration
from prx.core.ids import now_utc

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str) -> datetime:
    """Return the moment that `text` names: in ISO 8601, in UTC where it names no zone, or a span such as `30m` ago.

    Raises:
        ValueError: it names none; says how to write one.
    """
    span = parse_duration(text)
    if span is not None:
        now = now_utc()
        return now - span if span < now - _EARLIEST else _EARLIEST
    try:
        moment = datetime.fromisoformat(text)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "not a time: write it in ISO 8601, such as 2026-03-21T10:15:30Z, or how long ago it was: 90s, 30m, 1h, 2d"
        ) from None
