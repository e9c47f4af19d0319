"""What a tool of an MCP server gave back, as callers get it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.tool import ToolFile
from prx.mcp.client.results import tool_result

_IMAGE = {"type": "image", "mimeType": "image/png", "data": "AAAA"}


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ([], ""),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "one\ntwo"),
        ([{"type": "text", "text": "see"}, _IMAGE], "see\n[image image/png]"),
        ([{"type": "audio", "mimeType": "audio/wav", "data": ""}], "[audio audio/wav]"),
        ([{"type": "resource", "resource": {"uri": "memo://a", "text": "the memo"}}], "the memo"),
        ([{"type": "resource", "resource": {"uri": "memo://a", "blob": "AA=="}}], "[resource memo://a]"),
        ([{"type": "resource_link", "name": "a", "uri": "memo://a"}], "[resource a memo://a]"),
        (["rubbish", {"type": "hologram"}], "[something that is no content of MCP]\n[hologram]"),
    ],
)
def test_content_becomes_text(content: list[Any], output: str) -> None:
    result = tool_result({"content": content})
    assert (result.output, result.error) == (output, None)
    assert result.raw == {"content": content}


def test_structured_content_comes_before_text() -> None:
    assert tool_result({"content": [], "structuredContent": {"n": 1}}).output == {"n": 1}


def _resource(uri: object = None, **more: Any) -> dict[str, Any]:
    held = {"blob": "AA=="} if "text" not in more else {"text": more.pop("text")}
    return {"type": "resource", "resource": {"uri": uri, "mimeType": "text/csv", **held}, **more}


def _audience(*roles: str) -> dict[str, Any]:
    return {"annotations": {"audience": list(roles)}}


@pytest.mark.parametrize(
    ("block", "files"),
    [
        (_IMAGE, [ToolFile("", "image/png", "AAAA")]),
        ({"type": "audio", "data": "AA=="}, [ToolFile("", None, "AA==")]),
        (_resource("file:///tmp/a%20b/%C3%BC.csv?x#y"), [ToolFile("ü.csv", "text/csv", "AA==")]),
        (_resource("http://["), [ToolFile("", "text/csv", "AA==")]),
        (_resource(7), [ToolFile("", "text/csv", "AA==")]),
        (_resource("memo://a", text="a,b"), []),
        (_resource("memo://x/a", text="ü\ud800", **_audience("user")), [ToolFile("a", "text/csv", "w7w/")]),
        (_resource("memo://a", text="a,b", **_audience("assistant")), []),
        ({**_IMAGE, **_audience("assistant")}, []),
        ({**_IMAGE, **_audience("assistant", "user")}, [ToolFile("", "image/png", "AAAA")]),
        ({"type": "text", "text": "one"}, []),
        ({"type": "image", "data": 7}, []),
    ],
)
def test_bytes_that_are_not_for_the_model_alone_are_files(block: Any, files: list[ToolFile]) -> None:
    assert tool_result({"content": [block]}).files == files
    assert tool_result({"content": [block], "isError": True}).files == ()


_KEYS = st.sampled_from(["type", "data", "mimeType", "resource", "blob", "text", "uri", "annotations"])
_VALUES = st.sampled_from(["image", "resource", "AAAA", "a/b", None, 7, [], {"audience": 7}])
_BLOCKS = st.dictionaries(
    _KEYS, _VALUES | st.dictionaries(_KEYS, _VALUES | st.text(), max_size=3), max_size=5
)


@given(st.lists(_BLOCKS | _VALUES, max_size=3))
def test_whatever_a_server_answers_is_a_result(content: list[Any]) -> None:
    result = tool_result({"content": content})
    assert result.success
    assert all(isinstance(file.data, str) for file in result.files)


@pytest.mark.parametrize(
    ("result", "code", "message"),
    [
        ({"content": [{"type": "text", "text": "no"}], "isError": True}, "tool_error", "no"),
        ({"content": [], "isError": True}, "tool_error", "the tool failed and gave no reason"),
        ({"content": [], "structuredContent": {"n": 1}, "isError": True}, "tool_error", '{"n": 1}'),
        ({"content": "text"}, "tool_error", "the server's answer has no list of content"),
    ],
)
def test_failures_are_told_with_their_reason(result: dict[str, Any], code: str, message: str) -> None:
    error = tool_result(result).error
    assert error is not None
    assert (error.code, error.message) == (code, message)
