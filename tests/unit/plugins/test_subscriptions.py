"""What a hook plugin asked to hear of."""

import pytest

from prx.core.errors import BadRequestError
from prx.plugins.subscriptions import MAX_SUBSCRIPTIONS, Subscriptions


def test_declared_patterns_and_own_subscriptions_match_together() -> None:
    subscriptions = Subscriptions("p", ["a.*"])
    number = subscriptions.add("b")
    assert [subscriptions.matches(topic) for topic in ("a.x", "b", "c")] == [True, True, False]
    assert subscriptions.patterns() == ["a.*", "b"]
    subscriptions.remove(number)
    assert [subscriptions.matches(topic) for topic in ("a.x", "b")] == [True, False]


def test_asking_for_the_same_again_is_no_second_subscription() -> None:
    subscriptions = Subscriptions("p", [])
    assert subscriptions.add("a") == subscriptions.add("a") != subscriptions.add("b")


def test_what_is_declared_cannot_be_ended() -> None:
    subscriptions = Subscriptions("p", ["a"])
    number = subscriptions.add("a")
    subscriptions.remove(number)
    assert subscriptions.matches("a")
    with pytest.raises(BadRequestError, match=f'plugin "p" has no subscription {number}'):
        subscriptions.remove(number)


def test_there_are_so_many_subscriptions_and_no_more() -> None:
    subscriptions = Subscriptions("p", [])
    numbers = [subscriptions.add(f"a.{number}") for number in range(MAX_SUBSCRIPTIONS)]
    with pytest.raises(BadRequestError, match="a plugin may have 64 subscriptions"):
        subscriptions.add("one.more")
    subscriptions.remove(numbers[0])
    assert subscriptions.add("one.more") not in numbers


def test_what_is_no_pattern_is_refused() -> None:
    with pytest.raises(BadRequestError, match="it is a topic of 1 to 256 bytes"):
        Subscriptions("p", []).add("a..b")
