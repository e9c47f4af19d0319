"""Slack's way to write text, to and fro."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.channels.adapters.slack.text import escaped, mentions, readable, without_address


@given(st.text())
def test_plain_text_is_read_as_it_was_written_and_refers_to_nothing(text: str) -> None:
    assert "<" not in escaped(text)
    assert readable(escaped(text)) == text


@given(st.text(alphabet="<>@!#|U1a &;"))
def test_whatever_comes_can_be_read(text: str) -> None:
    readable(text)
    without_address(text, "U1")
    mentions(text, "U1")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<@U1> and <@U2|ada>", "@U1 and @ada"),
        ("<#C1|general> <!here> <!subteam^S1|@team>", "#general @here @team"),
        (
            "<https://a.b/c> <https://a.b|this> <mailto:a@b.c|a@b.c>",
            "https://a.b/c this (https://a.b) mailto:a@b.c",
        ),
        ("1 &lt; 2 &amp;amp; 3", "1 < 2 &amp; 3"),
    ],
)
def test_references_are_shown_as_people_see_them(written: str, read: str) -> None:
    assert readable(written) == read


def test_only_the_mention_of_the_bot_at_the_beginning_is_taken_off() -> None:
    assert without_address("<@U1>: hello <@U1>", "U1") == "hello <@U1>"
    assert without_address("<@U2> hello", "U1") == "<@U2> hello"
    assert mentions("hello <@U1|prx>", "U1")
    assert not mentions("hello <@U12>", "U1")
