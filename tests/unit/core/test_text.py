"""Texts from elsewhere can be encoded, whatever they were."""

from hypothesis import given
from hypothesis import strategies as st

from prx.core.text import well_formed

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANYTHING)
def test_what_is_well_formed_can_be_encoded_and_stays_as_it_is(text: str) -> None:
    formed = well_formed(text)
    formed.encode()
    assert well_formed(formed) == formed


@given(st.text())
def test_a_text_stays_as_it_is(text: str) -> None:
    assert well_formed(text) == text


def test_halves_are_put_together_and_one_without_the_other_is_replaced() -> None:
    assert well_formed("a\ud83e\uddcab") == "a\N{ICE CUBE}b"
    assert well_formed("a\ud83eb\uddca") == "a\ufffdb\ufffd"
