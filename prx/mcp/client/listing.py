"""A server's list of tools, taken apart with suspicion: what cannot be offered is left out, with the reason."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from prx.config.integrations import McpServerConfig
from prx.core.tool import ToolSpec
from prx.mcp.client.names import offered_name

MAX_TOOLS: Final = 1000
_MAX_BYTES: Final = 16 * 1024 * 1024
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


class Reader:
    """Takes the pages of `tools/list` as they came, and keeps no more than can be offered."""

    def __init__(
        self, server: str, config: McpServerConfig, objection: Callable[[Mapping[str, Any]], str | None]
    ) -> None:
        """Read the list of `server`; `objection` is asked last why a tool cannot be called."""
        self._server = server
        self._config = config
        self._objection = objection
        self._tools: dict[str, ListedTool] = {}
        self._skipped: dict[str, str] = {}
        self._seen = 0
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken."""
        return len(self._tools) >= MAX_TOOLS or self._bytes > _MAX_BYTES

    def add(self, page: Iterable[Any]) -> None:
        """Take the entries of one page."""
        for entry in page:
            self._seen += 1
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and 1 <= len(name) <= _MAX_NAME_CHARS:
                reason = self._why_not(name, entry)
            else:
                name, reason = f"#{self._seen}", f"it has no name of 1 to {_MAX_NAME_CHARS} characters"
            if reason is None:
                self._tools[name] = ListedTool(name, _spec(self._server, self._config, entry))
            elif len(self._skipped) < _MAX_SKIPPED:
                self._skipped[name] = reason

    def listing(self) -> Listing:
        """Return what was read."""
        return Listing(list(self._tools.values()), self._skipped)

    def _why_not(self, name: str, tool: Mapping[str, Any]) -> str | None:
        if name in self._tools:
            return "the server lists it twice"
        if self.is_full:
            return f"the server lists more than {MAX_TOOLS} tools, or {_MAX_BYTES} bytes"
        if (reason := _why_not(name, tool, self._config)) is not None:
            return reason
        try:
            size = len(to_json(tool))
        except ValueError:
            return "its description is not Unicode"
        self._bytes += size
        if size > _MAX_TOOL_BYTES:
            return f"it takes {size} bytes to describe, more than {_MAX_TOOL_BYTES}"
        return self._objection(tool)


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
