"""Files that came with a message, as the agent is told of them."""

from hypothesis import given
from hypothesis import strategies as st

from prx.channels.attachments import fenced


def test_a_text_stands_in_a_code_block() -> None:
    assert fenced("1\n2") == "```\n1\n2\n```"


def test_a_code_block_within_a_text_does_not_end_the_one_around_it() -> None:
    assert fenced("a\n````\nb") == "`````\na\n````\nb\n`````"


@given(st.text(alphabet="`a\n"))
def test_no_line_of_a_text_can_be_the_end_of_its_block(text: str) -> None:
    fence, *lines, last = fenced(text).split("\n")
    assert "\n".join(lines) == text
    assert last == fence
    assert all(fence not in line for line in lines)
