"""Texts cut into messages: within the limit, nothing lost, no character in two, code blocks in their fences."""

from hypothesis import example, given
from hypothesis import strategies as st

from prx.channels.splitting import size_of, split
from prx.core.channel import Capabilities, LengthUnit

UNITS: list[LengthUnit] = ["chars", "utf16", "bytes"]
CHARACTERS = ["é", "👋🏽", "👩\u200d👩\u200d👧", "🇩🇪", "a\u0301", "x"]
LINES = ["\n", "\n\n", "```py\n", "\n```\n", "~~~\n", "# ", " ", "word ", "x" * 40]
TEXTS = st.lists(
    st.sampled_from(CHARACTERS) | st.sampled_from(LINES) | st.text(max_size=20), max_size=60
).map("".join)
CAN = st.builds(
    Capabilities,
    max_length=st.integers(30, 300),
    unit=st.sampled_from(UNITS),
    multiline=st.booleans(),
)


@given(TEXTS, CAN)
@example("```" + "x" * 100 + "\n" + "y" * 500 + "\n```", Capabilities(max_length=80))
@example("```\n" + "\n" * 500, Capabilities(max_length=80))
def test_every_message_fits_and_has_something_in_it(text: str, can: Capabilities) -> None:
    for part in split(text, can):
        assert size_of(part, can.unit) <= can.max_length
        assert part.strip()
        assert can.multiline or "\n" not in part


@given(TEXTS, CAN)
def test_nothing_but_white_space_and_fences_is_lost_or_made(text: str, can: Capabilities) -> None:
    assert _words("".join(split(text, can))) == _words(text)


@given(st.lists(st.sampled_from(CHARACTERS), min_size=1, max_size=80), CAN)
def test_no_character_is_cut_in_two(characters: list[str], can: Capabilities) -> None:
    parts = split("".join(characters), can)
    left = list(characters)
    for part in parts:
        said = ""
        while said != part:
            assert part.startswith(said)
            said += left.pop(0)
    assert left == []


@given(st.lists(st.text("abc =", min_size=1, max_size=30), min_size=1, max_size=60), st.integers(64, 300))
def test_code_is_in_a_fence_in_every_message(lines: list[str], limit: int) -> None:
    for part in split("\n".join(["```python", *lines, "```"]), Capabilities(max_length=limit)):
        assert part.startswith("```python\n")
        assert part.endswith("\n```")
        assert part.count("```") == 2


def test_a_code_block_that_fits_into_a_message_is_not_cut() -> None:
    block = "```\n" + "\n".join(["code"] * 10) + "\n```"
    text = f"{'before ' * 8}\n{block}\nafter"
    assert split(text, Capabilities(max_length=80)) == [("before " * 8).rstrip(" ") + " ", f"{block}\nafter"]


def test_a_text_is_cut_between_lines_and_words() -> None:
    text = "first line\nsecond line here\n" + "word " * 10
    assert split(text, Capabilities(max_length=30)) == [
        "first line\nsecond line here",
        "word word word word word word",
        "word word word word ",
    ]


def test_where_a_message_is_one_line_each_line_is_one() -> None:
    can = Capabilities(max_length=12, unit="bytes", multiline=False)
    assert split("one\n\n```\ntwo éé éé éé\n```\n", can) == ["one", "two éé", "éé éé"]


def test_nothing_to_say_is_no_message() -> None:
    assert split(" \n\n ", Capabilities(max_length=100)) == []


def _words(text: str) -> str:
    return "".join(character for character in text if not character.isspace() and character not in "`~py")
