"""What of the results of tools goes to the user as files."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.agent import files
from prx.agent.files import Files, without
from prx.core.tool import ToolFile


def given_back(content: bytes, media_type: object = "image/png", name: str = "") -> ToolFile:
    return ToolFile(name, media_type, base64.b64encode(content).decode())


def kept(*given: ToolFile) -> list[tuple[str, str, bytes]]:
    found = Files()
    for each in given:
        found.add(each)
    assert found.left_out == ()
    return [(each.name, each.media_type, each.content) for each in found.kept]


def test_what_has_no_name_is_named_by_its_type_and_no_name_is_there_twice() -> None:
    assert kept(
        given_back(b"1"),
        given_back(b"2"),
        given_back(b"3", "audio/wav", " . "),
        given_back(b"4", None),
        given_back(b"5", "text/csv", "../a/b.csv"),
        given_back(b"6", "text/csv", "a b.csv"),
        given_back(b"7", "text/csv", "README"),
        given_back(b"8", "text/csv", "README"),
    ) == [
        ("image.png", "image/png", b"1"),
        ("image-2.png", "image/png", b"2"),
        ("audio.wav", "audio/wav", b"3"),
        ("file.bin", "application/octet-stream", b"4"),
        ("a b.csv", "text/csv", b"5"),
        ("a b-2.csv", "text/csv", b"6"),
        ("README", "text/csv", b"7"),
        ("README-2", "text/csv", b"8"),
    ]


def test_what_comes_twice_is_one_file() -> None:
    assert kept(given_back(b"1"), given_back(b"1", name="other.png")) == [("image.png", "image/png", b"1")]


def test_an_answer_has_so_many_files_and_names_the_others_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Files()
    for number in range(30):
        found.add(given_back(b"%d" % number))
    assert len(found.kept) == files.MAX_FILES
    (reason,) = found.left_out
    assert reason.startswith("image.png (image/png): an answer has at most 10 files")
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    found = Files()
    for size, kind in ((60, "png"), (60, "gif"), (40, "jpeg")):
        found.add(given_back(kind.encode() * (size // len(kind)), f"image/{kind}"))
    assert [len(each.content) for each in found.kept] == [60, 40]
    assert [each.partition(":")[0] for each in found.left_out] == ["image.gif (image/gif)"]


def test_of_very_many_that_are_left_out_the_last_ones_are_counted() -> None:
    found = Files()
    for number in range(25):
        found.add(ToolFile(f"{number}.txt", "text/plain", "%"))
    assert [each.partition(" ")[0] for each in found.left_out[:-1]] == [
        f"{number}.txt" for number in range(10)
    ]
    assert found.left_out[-1] == "15 more"


@given(
    st.text(), st.none() | st.text(), st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode())
)
def test_whatever_a_tool_gives_back_is_kept_or_named(name: str, media_type: object, data: str) -> None:
    found = Files()
    found.add(ToolFile(name, media_type, data))
    assert len(found.kept) + len(found.left_out) == 1
    assert all(each.name for each in found.kept)


def test_the_model_is_told_of_a_file_by_its_name() -> None:
    file, empty = given_back(b"point", name="p.png"), given_back(b"")
    output = {"summary": "", "plots": [{"name": "p.png", "content": file.data}], "size": 5, "more": None}
    assert without(output, [file, empty]) == {
        "summary": "",
        "plots": [{"name": "p.png", "content": "[file p.png (image/png)]"}],
        "size": 5,
        "more": None,
    }
    assert without("text", []) == "text"
