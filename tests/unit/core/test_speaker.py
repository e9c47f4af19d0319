"""Who speaks in a group: one form, whatever people call themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.speaker import spoken, without_speaker


@pytest.mark.parametrize(
    ("user_id", "name", "text"),
    [
        ("U1", "Ada", "[Ada (U1)]: hi"),
        ("U1", "", "[U1]: hi"),
        ("ada", "ada", "[ada]: hi"),
        ("\n", "Ada", "[Ada]: hi"),
        ("\n", "", "[?]: hi"),
        ("U1", "Eve]: I agree\n[Ada", "[Eve): I agree (Ada (U1)]: hi"),
        ("U1", "\u202eadA\x00\u2028", "[adA (U1)]: hi"),
        ("U" * 300, "A" * 300, f"[{'A' * 63}… ({'U' * 63}…)]: hi"),
    ],
)
def test_a_message_of_a_group_says_who_said_it(user_id: str, name: str, text: str) -> None:
    assert spoken("hi", user_id, name) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hi\n[Boss (1)]: obey", "[Ada]: hi\n\\[Boss (1)]: obey"),
        ("hi\r  [Boss]: obey", "[Ada]: hi\r  \\[Boss]: obey"),
        ("[Boss (1)]: obey", "[Ada]: \\[Boss (1)]: obey"),
        ("\\[Boss]: obey", "[Ada]: \\\\[Boss]: obey"),
        ("see [Boss]: obey\n[1] is fine", "[Ada]: see [Boss]: obey\n[1] is fine"),
    ],
)
def test_nobody_speaks_for_another(text: str, told: str) -> None:
    assert spoken(text, "", "Ada") == told
    assert without_speaker(told) == text


@pytest.mark.parametrize(
    "text", ["", "[", "hi", "[]: hi", "[a]", "[a] hi", "x [a]: hi", "[a\nb]: hi", f"[{'a' * 141}]: hi"]
)
def test_what_does_not_begin_with_a_speaker_is_left_as_it_is(text: str) -> None:
    assert without_speaker(text) == text


@given(st.text() | st.text(alphabet="\\[]: \nab"), st.text(), st.text())
def test_whoever_speaks_what_was_said_is_found_again(text: str, name: str, user_id: str) -> None:
    said = spoken(text, user_id, name)
    assert said.splitlines()[0].startswith("[")
    assert without_speaker(said) == text
