"""What the newer era repeats of a message in its headers, and the tools whose schemas say so wrongly."""

from typing import Any

from prx.config.integrations import McpServerConfig
from prx.mcp.client.http import HttpTransport
from prx.mcp.client.http_headers import Described
from prx.mcp.client.oauth.bearer import Bearer
from prx.mcp.client.oauth.logins import LoginFile
from prx.runtime.foreign_output import ForeignOutput


def tool(name: str, **annotated: Any) -> dict[str, Any]:
    properties = {"region": {"type": "string", **annotated}, "text": {"type": "string"}}
    return {"name": name, "inputSchema": {"type": "object", "properties": properties}}


def test_arguments_that_a_tool_wants_as_headers_are_sent_as_such() -> None:
    described = Described()
    assert described.objection(tool("ask", **{"x-mcp-header": "Region"})) is None
    params = {"name": "ask", "arguments": {"region": "eu", "text": "hello"}}
    assert described.headers({"method": "tools/call", "params": params}) == {
        "mcp-method": "tools/call",
        "mcp-name": "ask",
        "Mcp-Param-Region": "eu",
    }


def test_a_tool_that_says_so_wrongly_cannot_be_called_in_the_newer_era_and_can_in_the_older(
    tmp_path: Any,
) -> None:
    config = McpServerConfig(url="https://example.com/mcp")
    bearer = Bearer("one", config, LoginFile(tmp_path))
    transport = HttpTransport(config, ForeignOutput("the server", "mcp::one"), bearer, lambda: None)
    transport.speak("2026-07-28")
    wrong = transport.objection(tool("ask", **{"x-mcp-header": "not a token"}))
    assert wrong is not None
    assert "x-mcp-header" in wrong
    transport.speak("2025-11-25")
    assert transport.objection(tool("ask", **{"x-mcp-header": "not a token"})) is None
