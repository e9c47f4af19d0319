"""Lines of IRC, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.channels.adapters.irc.lines import Line, lowered, parsed, unformatted, written

WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20
).filter(lambda word: not word.startswith(":") and word.strip() == word)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=50)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b":ada!u@h PRIVMSG #a :hi there\r\n", Line("PRIVMSG", ["#a", "hi there"], "ada!u@h")),
        (b"PING :a b\r\n", Line("PING", ["a b"])),
        (b":s 001 prx :\r\n", Line("001", ["prx", ""], "s")),
        (
            b"@account=ada;msgid=1\\:\\s2;bot :ada!u@h privmsg x y\n",
            Line("PRIVMSG", ["x", "y"], "ada!u@h", {"account": "ada", "msgid": "1; 2", "bot": ""}),
        ),
        (b":ada!u@h PRIVMSG x ::-) :x\r\n", Line("PRIVMSG", ["x", ":-) :x"], "ada!u@h")),
        (b"PRIVMSG x :caf\xe9\r\n", Line("PRIVMSG", ["x", "café"])),
        (b"\r\n", None),
        (b":s\r\n", None),
        (b"@a=b\r\n", None),
    ],
    ids=["said", "ping", "empty last", "tags", "colons", "no UTF-8", "empty", "source alone", "tags alone"],
)
def test_a_line_is_read(raw: bytes, line: Line | None) -> None:
    assert parsed(raw) == line


@given(WORDS.filter(lambda word: not word.startswith("@")), st.lists(WORDS, max_size=3), TEXTS)
def test_what_is_written_is_what_is_read(command: str, middle: list[str], last: str) -> None:
    raw = written(command, *middle, last)
    assert raw.count(b"\n") == 1
    line = parsed(raw)
    assert line is not None
    assert (line.command, line.arguments) == (command.upper(), [*middle, last])


@given(st.binary(max_size=600))
def test_nothing_that_a_server_sends_is_too_much(raw: bytes) -> None:
    line = parsed(raw)
    if line is not None:
        assert line.command
        assert line.argument(9_999) == ""


@given(st.text())
def test_nothing_that_is_said_ends_a_line(text: str) -> None:
    text = text.encode(errors="replace").decode()
    raw = written("PRIVMSG", "x", text)
    assert raw.endswith(b"\r\n")
    assert not set(raw[:-2]) & set(b"\r\n\0")


def test_names_are_compared_as_the_protocol_says() -> None:
    assert lowered("Ada[x]\\~") == "ada{x}|^"


def test_colours_and_bold_are_left_out() -> None:
    assert unformatted("\x02b\x02 \x0304,12red\x03 \x04ff0000x\x0f \x1di\x1d\t.") == "b red x i\t."
