"""Arguments that a call of the newer era repeats in headers, as the tool's schema says with `x-mcp-header`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prx.cli.mcp.messages import Message, as_header

_ANNOTATION: Final = "x-mcp-header"
_PREFIX: Final = "Mcp-Param-"
# RFC 9110; what a schema calls otherwise is no header, and the daemon expects none then.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

Place = tuple[tuple[str, ...], str]
"""Where an argument is, and the name of its header."""


class Mirrored:
    """What is known of the tools' schemas. A stdio client sends no headers, so that this side has to know."""

    def __init__(self) -> None:
        """Know no tool."""
        self._places: dict[str, list[Place]] = {}

    def learn(self, tools: list[Any]) -> None:
        """Know the tools of a `tools/list`, and no other one."""
        found = {tool["name"]: list(_places(tool.get("inputSchema"))) for tool in tools}
        self._places = {name: places for name, places in found.items() if places}

    def headers(self, message: Message) -> dict[str, str]:
        """Return the headers for the arguments of a message; none where it is no call, or of a tool that wants none."""
        if message.get("method") != "tools/call":
            return {}
        params = message["params"]
        name = params.get("name")
        return {
            _PREFIX + header: as_header(text)
            for path, header in (self._places.get(name, ()) if isinstance(name, str) else ())
            if (text := _text(_at(params.get("arguments"), path))) is not None
        }


def _places(schema: Any, path: tuple[str, ...] = ()) -> Iterator[Place]:
    """Yield what a schema annotates; only in `properties`, and those in them, may it be."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return
    for name, inner in properties.items():
        header = inner.get(_ANNOTATION) if isinstance(inner, Mapping) else None
        if isinstance(header, str) and _TOKEN.fullmatch(header):
            yield (*path, name), header
        yield from _places(inner, (*path, name))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str | None:
    """Return a value as a header has it; what is none, or no scalar, has no header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
