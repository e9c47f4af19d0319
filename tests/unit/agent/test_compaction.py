"""Which part of a conversation becomes a summary."""

from hypothesis import given
from hypothesis import strategies as st

from prx.agent.compaction import split, summary_of, to_summarize, tokens_of
from prx.agent.message_table import PastTurn
from prx.core.message import CalledTool, Failure, Round

TEXTS = st.text(max_size=400)
TURNS = st.lists(
    st.builds(PastTurn, st.integers(1, 99), TEXTS, TEXTS | st.none(), st.just(()), st.none()), max_size=9
)


@given(TURNS, st.integers(0, 500))
def test_the_newest_turns_stay_as_far_as_there_is_room(past: list[PastTurn], room: int) -> None:
    older, newer = split(past, room)
    assert [*older, *newer] == past
    assert tokens_of(newer) <= room
    if older:
        assert tokens_of(past[len(older) - 1 :]) >= room


def test_what_is_summarized_is_told_with_its_tools_and_the_summary_before() -> None:
    calls = [CalledTool("1", "add", "{}", 3), CalledTool("2", "div", "{}", error=Failure("x", "by zero"))]
    turns = [PastTurn(1, "add", "3", [Round("", calls)], None), PastTurn(2, "x" * 3000, None, (), None)]
    request = to_summarize(turns, "They met.", "m")
    assert request.messages[0].content == (
        "Summary of what came before:\nThey met.\n\nUser: add\n\nTool add {}: 3\n\nTool div {}: by zero\n\n"
        f"Assistant: 3\n\nUser: {'x' * 2000} [...]"
    )


def test_a_summary_is_some_text_and_not_too_much() -> None:
    turns = [PastTurn(7, "hi", None, (), None)]
    assert summary_of(" \n", turns) is None
    assert summary_of(" They met. ", turns) == ("They met.", 7)
    long = summary_of("x" * 100_000, turns)
    assert long is not None
    assert len(long.text) == 16 * 1024
