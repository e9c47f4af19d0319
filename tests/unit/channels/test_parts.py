"""What an answer becomes: texts and files, each a message that can be noted as said."""

from dataclasses import replace

from prx.channels.inbox_table import KeptFile
from prx.channels.parts import Part, parts_of
from prx.core.channel import Capabilities
from prx.core.file import File

CAN = Capabilities(max_length=100, max_file_bytes=1000)
SMALL, LARGE = KeptFile(0, "a.png", "image/png", 1000), KeptFile(1, "b.png", "image/png", 1001)


def test_each_file_is_a_message_of_its_own_behind_the_text() -> None:
    other = SMALL._replace(number=2)
    assert parts_of("look", [SMALL, other], CAN) == [Part("look"), Part("", [SMALL]), Part("", [other])]
    assert parts_of("", [SMALL], CAN) == [Part("", [SMALL])]


def test_what_the_platform_does_not_take_is_named_in_the_text_once() -> None:
    large = "[b.png (image/png) was not sent: this channel takes files of 1000 bytes at most]"
    assert parts_of("look", [SMALL, LARGE], CAN) == [Part(f"look\n\n{large}"), Part("", [SMALL])]
    none = replace(CAN, max_file_bytes=0)
    assert parts_of("", [SMALL._replace(size=0)], none) == [
        Part("[a.png (image/png) was not sent: this channel takes no files]")
    ]


def test_where_text_and_files_are_one_message_they_are() -> None:
    can = replace(CAN, attaches=True)
    assert parts_of("look", [SMALL, SMALL], can) == [Part("look", [SMALL, SMALL])]
    assert parts_of("", [SMALL], can) == [Part("", [SMALL])]
    first, second = parts_of("word " * 30, [SMALL], can)
    assert (first.files, second.files) == ((), [SMALL])


def test_a_very_long_text_is_a_file_before_the_others() -> None:
    text = "wordy " * 200
    can = replace(CAN, max_file_bytes=2000)
    beginning, whole, file = parts_of(text, [SMALL], can)
    assert text.startswith(beginning.text)
    assert whole == Part("", [File(name="answer.md", media_type="text/markdown", content=text.encode())])
    assert file == Part("", [SMALL])
    assert len(parts_of(text, [], replace(CAN, max_file_bytes=0))) > 10
    *_, last = parts_of(text * 10, [], replace(CAN, max_file_bytes=0))
    assert "more characters were cut off" in last.text
