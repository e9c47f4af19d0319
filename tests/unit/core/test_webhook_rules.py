"""What the configuration and the API take for a webhook."""

import pytest

from prx.core.webhook import canonical, key_of, target_of


def test_the_references_own_secret_is_one() -> None:
    assert len(key_of("whsec_xxxxxxxxxxx")) == 8


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_=", "xxxx", "whsec_x", "whsec_a-_b", "whsec_a b=", "whsec_" + "A" * 1000]
)
def test_what_is_no_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="a secret is") as refused:
        key_of(text)
    assert not text or text == "whsec_" or text not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "not absolute"),
        ("https://", "no host"),
        ("ftp://example.com", "only http and https"),
        ("https://user:hunter2@example.com", "user name"),
        ("https://example.com:0", "port"),
        ("https://example.com/" + "a" * 2048, "2048 are allowed"),
        ("http://127.0.0.1/", "hooks.allow_private_targets = true"),
        ("http://[::ffff:10.0.0.1]/", "hooks.allow_private_targets = true"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_with_the_reason(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        target_of(url, allow_private=False)
    assert "hunter2" not in str(refused.value)


def test_private_targets_and_names_that_nobody_looked_up_are_taken_where_they_may_be() -> None:
    assert target_of("http://127.0.0.1:8080/in", allow_private=True).port == 8080
    assert target_of("https://does-not-resolve.invalid", allow_private=False).path == "/"


def test_an_alias_stands_for_its_event() -> None:
    assert canonical("session.completed") == "session.terminated"
    with pytest.raises(ValueError, match=r"no such event; the events are session\.created, "):
        canonical("session.begun")
