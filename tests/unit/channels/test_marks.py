"""How far conversations were read: bounded, and the same in the next life."""

from hypothesis import given
from hypothesis import strategies as st

from prx.channels.marks import Marks


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.text("0123", min_size=1))))
def test_the_most_recent_are_kept_with_their_last_message(said: list[tuple[str, str]]) -> None:
    marks = Marks(most=3)
    for place, message in said:
        marks.set(place, message)
    newest_first = list(dict.fromkeys(place for place, _ in reversed(said)))
    assert [place for place, _ in marks][::-1] == newest_first[:3]
    assert all(dict(said)[place] == message for place, message in marks)
    again = Marks(marks.as_dict(), most=3)
    again.set("z", "1")
    assert [place for place, _ in again] == [*list(marks.as_dict())[-2:], "z"]


def test_one_that_is_gone_is_forgotten() -> None:
    marks = Marks({"a": "1"})
    marks.forget("a")
    marks.forget("a")
    assert "a" not in marks
