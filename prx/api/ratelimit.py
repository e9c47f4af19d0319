"""Sliding-window rate limits: at most the stated number in any one-second window, not on average."""

from collections import OrderedDict, deque
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
        self._buckets: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._buckets)

    def hit(self, key: tuple[str, str], limit: int) -> Quota:
        """Count one request against `key`, if it is within `limit`; a refused one does not count."""
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[key] = deque()
        else:
            self._buckets.move_to_end(key)
            _forget_past(bucket, now)
        allowed = len(bucket) < limit
        if allowed:
            bucket.append(now)
        return _quota(bucket, limit, now, allowed=allowed)

    def peek(self, key: tuple[str, str], limit: int) -> Quota:
        """Tell where `key` stands without counting anything."""
        now = self._clock()
        bucket = self._buckets.get(key, deque())
        _forget_past(bucket, now)
        return _quota(bucket, limit, now, allowed=True)

    def _make_room(self, now: float) -> None:
        # Two for each new one: they become fewer again after many callers came once.
        for _ in range(2):
            oldest = next(iter(self._buckets.values()), None)
            if oldest is None or (oldest and oldest[-1] >= now - _WINDOW_SECS):
                break
            self._buckets.popitem(last=False)
        if len(self._buckets) >= self._max_keys:
            self._buckets.popitem(last=False)


def _forget_past(bucket: deque[float], now: float) -> None:
    # Strictly older: two requests exactly one second apart still share a closed window of one second.
    start = now - _WINDOW_SECS
    while bucket and bucket[0] < start:
        bucket.popleft()


def _quota(bucket: deque[float], limit: int, now: float, *, allowed: bool) -> Quota:
    remaining = max(0, limit - len(bucket))
    return Quota(
        allowed=allowed,
        remaining=remaining,
        next_in_secs=0.0 if remaining else bucket[-limit] + _WINDOW_SECS - now,
        reset_in_secs=bucket[-1] + _WINDOW_SECS - now if bucket else 0.0,
    )
