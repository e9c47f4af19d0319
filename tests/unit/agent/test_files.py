"""What of the results of tools goes to the user as files."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.agent import files
from prx.agent.files import Files
from prx.core.file import File


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def image(content: bytes, media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    return {"type": "image", "data": encoded(content), "mimeType": media_type, **more}


def resource(content: bytes | str, uri: object = None, **more: Any) -> dict[str, Any]:
    held = {"text": content} if isinstance(content, str) else {"blob": encoded(content)}
    return {"type": "resource", "resource": {"uri": uri, "mimeType": "text/csv", **held}, **more}


def kept(*blocks: Any) -> list[tuple[str, str, bytes]]:
    found = Files()
    found.add({"content": list(blocks)})
    assert found.left_out == ()
    return [(each.name, each.media_type, each.content) for each in found.kept]


def test_pictures_sounds_and_embedded_bytes_are_files() -> None:
    assert kept(
        {"type": "text", "text": "see"},
        image(b"1"),
        {"type": "audio", "data": encoded(b"2"), "mimeType": "audio/wav"},
        resource(b"3", "file:///tmp/a%20b/%C3%BCber.csv?x#y"),
        image(b"4", "image/jpeg"),
        image(b"5"),
    ) == [
        ("image.png", "image/png", b"1"),
        ("audio.wav", "audio/wav", b"2"),
        ("über.csv", "text/csv", b"3"),
        ("image.jpg", "image/jpeg", b"4"),
        ("image-2.png", "image/png", b"5"),
    ]


@pytest.mark.parametrize("uri", ["memo://", "http://[", 7, None, "file:///a/"])
def test_what_has_no_name_is_named_by_its_type(uri: object) -> None:
    assert kept(resource(b"1", uri)) == [("file.csv", "text/csv", b"1")]


def test_what_is_for_the_model_alone_is_not_for_the_user() -> None:
    assistant, both = {"audience": ["assistant"]}, {"audience": ["user", "assistant"]}
    assert kept(image(b"1", annotations=assistant), resource("2", annotations=assistant)) == []
    assert kept(image(b"1", annotations=both)) == [("image.png", "image/png", b"1")]


def test_a_text_is_a_file_where_it_is_said_to_be_for_the_user() -> None:
    assert kept(resource("a,b", "file:///t.csv")) == []
    for_user = resource("a,ü\ud800", "file:///t.csv", annotations={"audience": ["user"]})
    assert kept(for_user) == [("t.csv", "text/csv", b"a,\xc3\xbc?")]


def test_what_comes_twice_is_one_file() -> None:
    found = Files()
    for _ in range(2):
        found.add({"content": [image(b"1")]})
    assert [each.content for each in found.kept] == [b"1"]


def test_an_answer_has_so_many_files_and_names_the_others_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Files()
    found.add({"content": [image(b"%d" % number) for number in range(30)]})
    assert len(found.kept) == files.MAX_FILES
    (reason,) = found.left_out
    assert reason.startswith("image.png (image/png): an answer has at most 10 files")
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    found = Files()
    found.add({"content": [image(b"x" * 60), image(b"y" * 60, "image/gif"), image(b"z" * 40, "image/jpeg")]})
    assert [len(each.content) for each in found.kept] == [60, 40]
    assert [each.partition(":")[0] for each in found.left_out] == ["image.gif (image/gif)"]


def test_what_is_no_base64_is_named() -> None:
    found = Files()
    found.add({"content": [{"type": "image", "data": "%%%", "mimeType": "image/png"}]})
    assert (found.kept, found.left_out) == ((), ("image.png (image/png): what the tool gave is no base64",))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
_KEYS = st.sampled_from(
    ["type", "data", "mimeType", "resource", "blob", "text", "uri", "annotations", "audience"]
)
_VALUES = st.sampled_from(["image", "audio", "resource", "AAAA", "a/b"])


_BLOCKS = st.dictionaries(_KEYS, _VALUES | _JSON | st.dictionaries(_KEYS, _VALUES, max_size=3), max_size=5)


@given(st.lists(_BLOCKS, max_size=3) | _JSON)
def test_whatever_a_server_answers_is_files_or_not(content: Any) -> None:
    found = Files()
    found.add({"content": content})
    assert all(isinstance(each, File) and each.name for each in found.kept)
