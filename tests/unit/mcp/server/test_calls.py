"""What a client gets of a tool's result: a server's own answer where it is one, and never its claims about PRX."""

from typing import Any

import pytest

from prx.core.tool import ToolFailure, ToolResult
from prx.mcp.client.results import tool_result
from prx.mcp.server.calls import shown

TEXT = {"type": "text", "text": "x"}


@pytest.mark.parametrize(
    "raw",
    [
        {"content": [TEXT]},
        {"content": [], "structuredContent": {"a": 1}, "isError": True},
        {"content": [{"type": "image", "data": "eA==", "mimeType": "image/png"}], "more": 1},
        {"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "x"}}, TEXT]},
        {"content": [TEXT], "_meta": {"its/own": 1}},
    ],
)
def test_an_answer_of_a_server_is_passed_on_as_it_is(raw: dict[str, Any]) -> None:
    assert shown(tool_result(raw)) == {"resultType": "complete", **raw}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([None, TEXT], "[something that is no content of MCP]\nx"),
        ([{"type": "image"}], "[image]"),
        ([{"type": "text", "text": None}], "None"),
    ],
)
def test_content_that_is_none_becomes_the_text_that_other_callers_get(content: list[Any], text: str) -> None:
    found = shown(tool_result({"content": content}))
    assert found == {"resultType": "complete", "content": [{"type": "text", "text": text}]}


def test_a_server_does_not_speak_for_the_receipts_and_errors_of_the_daemon() -> None:
    raw = {"content": [TEXT], "_meta": {"prx/receipt": {"fuel_used": 0}, "prx/error": 5, "its/own": 1}}
    assert shown(tool_result(raw))["_meta"] == {"its/own": 1}


def test_what_is_no_result_yet_is_a_failure() -> None:
    result = ToolResult(error=ToolFailure("input_required", "asks"), raw={"resultType": "input_required"})
    assert shown(result) == {
        "resultType": "complete",
        "content": [{"type": "text", "text": "asks"}],
        "isError": True,
        "_meta": {"prx/error": {"code": "input_required"}},
    }
