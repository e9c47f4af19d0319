"""The sliding window, with a clock that the test turns."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from prx.api.ratelimit import RateLimiter

KEY = ("other", "tok_1")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    limit=st.integers(1, 8),
    pauses=st.lists(st.floats(0, 1.5, allow_nan=False) | st.sampled_from([0.0, 0.5, 1.0]), max_size=60),
)
def test_no_window_of_one_second_ever_holds_more_than_the_limit(limit: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        # As the limiter sees it: the subtraction must round the same way on both sides.
        start = clock.now - 1.0
        in_window = sum(moment >= start for moment in passed)
        quota = limiter.hit(KEY, limit)
        assert quota.allowed == (in_window < limit), "refuses at the limit, and never below it"
        if quota.allowed:
            passed.append(clock.now)
        assert quota.remaining == limit - in_window - quota.allowed


@given(limit=st.integers(1, 5), pauses=st.lists(st.floats(0, 0.4), min_size=1, max_size=30))
def test_a_request_passes_as_soon_as_the_quota_said_it_would(limit: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    for pause in pauses:
        clock.now += pause
        quota = limiter.hit(KEY, limit)
        if not quota.allowed:
            assert 0 <= quota.next_in_secs <= 1.0
            clock.now += quota.next_in_secs + 1e-6
            assert limiter.hit(KEY, limit).allowed


def test_a_refused_request_does_not_count() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    limiter.hit(KEY, 1)
    for _ in range(20):
        clock.now += 0.05
        assert not limiter.hit(KEY, 1).allowed
    clock.now += 0.01
    assert limiter.hit(KEY, 1).allowed


def test_keys_do_not_share_a_bucket() -> None:
    limiter = RateLimiter(10, Clock())
    assert limiter.hit(("other", "a"), 1).allowed
    assert limiter.hit(("other", "b"), 1).allowed
    assert limiter.hit(("config_write", "a"), 1).allowed
    assert not limiter.hit(("other", "a"), 1).allowed


def test_peeking_counts_nothing_and_keeps_nothing() -> None:
    limiter = RateLimiter(10, Clock())
    for _ in range(5):
        assert limiter.peek(KEY, 3).remaining == 3
    assert len(limiter) == 0


def test_the_whole_limit_is_free_again_one_second_after_the_last_request() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    limiter.hit(KEY, 3)
    clock.now += 0.25
    assert limiter.hit(KEY, 3).reset_in_secs == 1.0
    clock.now += 0.5
    assert limiter.peek(KEY, 3).reset_in_secs == 0.5


def test_a_lowered_limit_holds_at_once() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    for _ in range(5):
        limiter.hit(KEY, 5)
    clock.now += 0.5
    quota = limiter.hit(KEY, 2)
    assert (quota.allowed, quota.remaining, quota.next_in_secs) == (False, 0, 0.5)


def test_only_so_many_keys_are_kept_and_the_longest_unused_goes_first() -> None:
    limiter = RateLimiter(3, Clock())
    for who in ("a", "b", "c", "a", "d"):
        limiter.hit(("other", who), 2)
    assert len(limiter) == 3
    assert limiter.peek(("other", "a"), 2).remaining == 0
    assert limiter.peek(("other", "b"), 2).remaining == 2


def test_ten_thousand_keys_keep_their_buckets_side_by_side() -> None:
    limiter = RateLimiter(32768, Clock())
    keys = [("other", str(number)) for number in range(10_000)]
    for key in keys:
        assert limiter.hit(key, 2).allowed
    assert all(limiter.hit(key, 2).remaining == 0 for key in keys)
    assert not any(limiter.hit(key, 2).allowed for key in keys)


def test_buckets_whose_window_is_over_make_room_as_new_ones_come() -> None:
    clock = Clock()
    limiter = RateLimiter(32768, clock)
    for number in range(10_000):
        limiter.hit(("other", str(number)), 2)
    clock.now += 1.5
    for number in range(5_000):
        limiter.hit(("other", f"later {number}"), 2)
    assert len(limiter) == 5_000


def test_a_flood_of_other_keys_gives_no_key_more_than_its_limit() -> None:
    clock = Clock()
    limiter = RateLimiter(100, clock)
    for _ in range(5):
        limiter.hit(KEY, 5)
    for number in range(99):
        limiter.hit(("other", f"flood {number}"), 5)
    assert not limiter.hit(KEY, 5).allowed


def test_many_keys_hold_little_memory_and_hold_no_more_as_time_goes_on() -> None:
    clock = Clock()
    limiter = RateLimiter(32768, clock)
    keys = [("other", f"tok_{number}") for number in range(10_000)]

    def held_after(seconds: int) -> int:
        for _ in range(seconds):
            for key in keys:
                clock.now += 1 / len(keys)
                limiter.hit(key, 30)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        first, later = held_after(2) - before, held_after(6) - before
    finally:
        tracemalloc.stop()
    assert len(limiter) == len(keys)
    assert first < len(keys) * 400
    assert later < first * 1.1


def test_a_bucket_holds_no_more_than_twice_what_passes_in_a_window() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    for _ in range(20_000):
        clock.now += 0.0011
        limiter.hit(KEY, 1000)
        assert len(limiter._buckets[KEY]) <= 2 * 1000
