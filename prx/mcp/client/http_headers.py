"""The headers in which the newer era repeats what a message is about, for whoever routes it without reading it."""

from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from prx.mcp.client.requests import Message


class Described:
    """What is repeated; some tools want arguments of theirs among it."""

    def __init__(self) -> None:
        """Know no tools yet."""
        self._of_tools: dict[str, dict[tuple[str, ...], str]] = {}

    def objection(self, tool: Mapping[str, Any]) -> str | None:
        """Return why a listed tool cannot be called; remember which of its arguments are headers, too."""
        if (fault := find_invalid_x_mcp_header(tool.get("inputSchema"))) is not None:
            return f"its x-mcp-header is wrong: {fault}"
        self._of_tools[tool["name"]] = x_mcp_header_map(tool.get("inputSchema"))
        return None

    def headers(self, message: Message) -> dict[str, str]:
        """Return the headers of a message."""
        method, params = message["method"], message.get("params") or {}
        headers = {MCP_METHOD_HEADER: method}
        if isinstance(name := params.get(NAME_BEARING_METHODS.get(method, "")), str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
        if method == "tools/call" and (found := self._of_tools.get(params["name"])):
            headers |= mcp_param_headers(found, params["arguments"])
        return headers
