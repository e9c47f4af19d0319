"""What a tool of an MCP server gave back, as callers get it."""

from typing import Any

import pytest

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
