"""How long a hook is left alone after an attempt that failed."""

import random
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from prx.core.ids import now_utc

FIRST_SECS: Final = 5.0
_FACTOR: Final = 4.0
_MOST_SECS: Final = 4 * 3600.0
MOST_ASKED_SECS: Final = 24 * 3600.0
"""The longest pause that a receiver can ask for."""
_LARGEST_EXPONENT: Final = 32


def pause_secs(
    attempts: int, first_secs: float = FIRST_SECS, chance: Callable[[], float] = random.random
) -> float:
    """Return the pause after `attempts` failures in a row: four times longer each time, from seconds to hours.

    It is between half of its step and the whole of it, so that hooks that failed together are not tried together.
    """
    whole = min(_MOST_SECS, first_secs * _FACTOR ** min(attempts - 1, _LARGEST_EXPONENT))
    return whole * (0.5 + chance() / 2)


def retry_after_secs(value: str | None, now: Callable[[], datetime] = now_utc) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, a day at most; None where it asks for nothing."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return min(MOST_ASKED_SECS, float(value[:10]))
    try:
        moment = parsedate_to_datetime(value)
        secs = (moment - now()).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return None
    return max(0.0, min(MOST_ASKED_SECS, secs))
