"""Sliding-window rate limits: at most the stated number in any one-second window, not on average."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

_WINDOW_SECS: Final = 1.0


class Quota(NamedTuple):
    """Where one bucket stands after a request."""

    allowed: bool
    remaining: int
    """How many more requests pass right now."""
    next_in_secs: float
    """When a request passes again: 0 while any remain."""
    reset_in_secs: float
    """When the whole limit is free again, if nothing else comes."""


class RateLimiter:
    """Buckets by key, as many as are in use: those whose window is over make room for new ones.

    At most `max_keys` are kept: beyond that the one unused for longest is forgotten.
    """

    def __init__(self, max_keys: int, clock: Callable[[], float]) -> None:
        """Start with no buckets; `clock` gives seconds and never goes back."""
        self._max_keys = max_keys
        self._clock = clock
        # When what passed came, oldest first. Lists, since most are short: a deque has 760 bytes with nothing in it.
        self._buckets: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._buckets)

    def hit(self, key: tuple[str, str], limit: int) -> Quota:
        """Count one request against `key`, if it is within `limit`; a refused one does not count."""
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[key] = []
            used = 0
        else:
            self._buckets.move_to_end(key)
            used = _used(bucket, now)
        allowed = used < limit
        if allowed:
            bucket.append(now)
            used += 1
        return _quota(bucket, used, limit, now, allowed=allowed)

    def peek(self, key: tuple[str, str], limit: int) -> Quota:
        """Tell where `key` stands without counting anything."""
        now = self._clock()
        bucket = self._buckets.get(key, [])
        return _quota(bucket, _used(bucket, now), limit, now, allowed=True)

    def _make_room(self, now: float) -> None:
        # Two for each new one: they become fewer again after many callers came once.
        for _ in range(2):
            oldest = next(iter(self._buckets.values()), None)
            if oldest is None or (oldest and oldest[-1] >= now - _WINDOW_SECS):
                break
            self._buckets.popitem(last=False)
        if len(self._buckets) >= self._max_keys:
            self._buckets.popitem(last=False)


def _used(bucket: list[float], now: float) -> int:
    """Return how many passed in the window that ends now; drop the others once they are half of the bucket."""
    # Strictly older: two requests exactly one second apart still share a closed window of one second.
    start = now - _WINDOW_SECS
    if not bucket or bucket[0] >= start:
        return len(bucket)
    past = bisect_left(bucket, start)
    used = len(bucket) - past
    if past > used:
        del bucket[:past]
    return used


def _quota(bucket: list[float], used: int, limit: int, now: float, *, allowed: bool) -> Quota:
    remaining = limit - used
    return Quota(
        allowed,
        max(0, remaining),
        0.0 if remaining > 0 else bucket[-limit] + _WINDOW_SECS - now,
        bucket[-1] + _WINDOW_SECS - now if used else 0.0,
    )
