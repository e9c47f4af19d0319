"""What a tool of an MCP server gave back, as the router's callers get it."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from prx.core.tool import ToolFailure, ToolFile, ToolResult


def tool_result(result: Mapping[str, Any]) -> ToolResult:
    """Return a `CallToolResult` as it came; a wrong one is a failure of the tool.

    Structured content is the output where there is any, otherwise the texts, a line each; what is neither is named
    in its place, and is whole in `raw`. Bytes are `files`, unless they are not for the user; embedded texts where they
    are said to be.
    """
    content = result.get("content", [])
    if not isinstance(content, list):
        return ToolResult(
            error=ToolFailure("tool_error", "the server's answer has no list of content"), raw=result
        )
    text = "\n".join(_texts(content))
    structured = result.get("structuredContent")
    output = text if structured is None else structured
    if result.get("isError") is not True:
        return ToolResult(output, files=[*_files(content)], raw=result)
    reason = text or (
        json.dumps(structured) if structured is not None else "the tool failed and gave no reason"
    )
    return ToolResult(output, ToolFailure("tool_error", reason), raw=result)


def _texts(content: list[Any]) -> Iterator[str]:
    for block in content:
        if not isinstance(block, dict):
            yield "[something that is no content of MCP]"
            continue
        match block.get("type"):
            case "text":
                yield str(block.get("text", ""))
            case "resource" if isinstance(resource := block.get("resource"), dict):
                yield str(resource.get("text") or _named("resource", resource, "uri", "mimeType"))
            case "resource_link":
                yield _named("resource", block, "name", "uri")
            case kind:
                yield _named(str(kind), block, "mimeType")


def _files(content: list[Any]) -> Iterator[ToolFile]:
    for block in content:
        match block:
            case {"annotations": {"audience": [*audience]}} if "user" not in audience:
                continue
            case {"type": "image" | "audio", "data": str(data)}:
                yield ToolFile("", block.get("mimeType"), data)
            case {"type": "resource", "resource": {"blob": str(data), **about}}:
                yield ToolFile(_last_part(about.get("uri")), about.get("mimeType"), data)
            case {
                "type": "resource",
                "annotations": {"audience": _},
                "resource": {"text": str(text), **about},
            }:
                data = base64.b64encode(text.encode(errors="replace")).decode()
                yield ToolFile(_last_part(about.get("uri")), about.get("mimeType"), data)


def _last_part(uri: Any) -> str:
    """Return the last part of the path of a resource's address."""
    try:
        path = urlsplit(uri).path if isinstance(uri, str) else ""
    except ValueError:
        path = ""
    return unquote(path.rpartition("/")[2])


def _named(kind: str, block: Mapping[str, Any], *keys: str) -> str:
    return f"[{' '.join([kind, *(str(block[key]) for key in keys if key in block)])}]"
