"""Spans of time as people write them."""

import re
from datetime import timedelta
from typing import Final

_DURATION: Final = re.compile(r"([1-9][0-9]{0,4})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta | None:
    """Return the span that `90s`, `30m`, `12h`, `30d` or `4w` spells; None where `text` is none."""
    match = _DURATION.fullmatch(text)
    return None if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
