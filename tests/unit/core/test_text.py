"""Texts from elsewhere can be encoded, whatever they were."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from prx.core.text import sayable, well_formed

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


@given(ANYTHING)
def test_what_is_sayable_has_no_control_characters_but_breaks_and_stays_as_it_is(text: str) -> None:
    said = sayable(text)
    assert not [c for c in said if unicodedata.category(c) == "Cc" and c not in "\t\n\x85"]
    assert sayable(said) == said
    assert len(said) <= len(text)


def test_colours_of_terminals_and_other_controls_are_left_unsaid_and_lines_end_alike() -> None:
    assert sayable("\x1b[1;31mred\x1b[0m\x07 \x01VERSION\x01 nul\0\ufffe\r\nnext\rlast\tend") == (
        "red VERSION nul\nnext\nlast\tend"
    )
    assert sayable("שלום 👩\u200d👧\n") == "שלום 👩\u200d👧\n"
