"""A server's list of tools, taken apart with suspicion: what cannot be offered is left out, with the reason."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from prx.config.integrations import McpServerConfig
from prx.core.tool import ToolSpec
from prx.mcp.client.names import offered_name

MAX_TOOLS: Final = 1000
_MAX_TOOL_BYTES: Final = 128 * 1024
_MAX_NAME_CHARS: Final = 256
_MAX_SKIPPED: Final = 100
_EXTRAS: Final = ("title", "annotations", "outputSchema", "icons", "_meta")


class ListedTool(NamedTuple):
    """A tool that can be offered."""

    own_name: str
    """What the server calls it."""
    spec: ToolSpec


class Listing(NamedTuple):
    """What a server lists."""

    tools: list[ListedTool]
    skipped: dict[str, str]
    """What is not offered, by the server's own name, and why; 100 at most."""


def read_listing(
    server: str,
    config: McpServerConfig,
    listed: Iterable[Any],
    objection: Callable[[Mapping[str, Any]], str | None],
) -> Listing:
    """Return which of `listed`, entries of `tools/list` as they came, can be offered.

    `objection` is asked last why one cannot be called.
    """
    tools: dict[str, ListedTool] = {}
    skipped: dict[str, str] = {}
    for position, entry in enumerate(listed):
        name = entry.get("name") if isinstance(entry, dict) else None
        reason: str | None
        if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME_CHARS:
            name, reason = f"#{position + 1}", f"it has no name of 1 to {_MAX_NAME_CHARS} characters"
        elif name in tools:
            reason = "the server lists it twice"
        elif len(tools) == MAX_TOOLS:
            reason = f"the server lists more than {MAX_TOOLS} tools"
        else:
            reason = _why_not(name, entry, config) or objection(entry)
        if reason is None:
            tools[name] = ListedTool(name, _spec(server, config, entry))
        elif len(skipped) < _MAX_SKIPPED:
            skipped[name] = reason
    return Listing(list(tools.values()), skipped)


def _why_not(name: str, tool: Mapping[str, Any], config: McpServerConfig) -> str | None:
    if any(fnmatchcase(name, pattern) for pattern in config.deny_tools):
        return "deny_tools names it"
    if config.allow_tools is not None and not any(
        fnmatchcase(name, pattern) for pattern in config.allow_tools
    ):
        return "allow_tools does not name it"
    execution = tool.get("execution")
    if isinstance(execution, dict) and execution.get("taskSupport") == "required":
        return "it only runs as a task, which is not supported"
    if not isinstance(tool.get("inputSchema"), dict):
        return "it has no inputSchema"
    try:
        size = len(to_json(tool))
    except ValueError:
        return "its description is not Unicode"
    return (
        None if size <= _MAX_TOOL_BYTES else f"it takes {size} bytes to describe, more than {_MAX_TOOL_BYTES}"
    )


def _spec(server: str, config: McpServerConfig, tool: Mapping[str, Any]) -> ToolSpec:
    description = tool.get("description")
    return ToolSpec(
        name=offered_name(config.tool_name_prefix, server, tool["name"]),
        description=description if isinstance(description, str) else "",
        parameters=tool["inputSchema"],
        source=f"mcp:{server}",
        extras={key: tool[key] for key in _EXTRAS if key in tool},
    )
