"""A connected server for whoever passes it on: its lists, read once and again when they changed, and raw requests."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from prx.core.upstream import Ask, ItemKind, Progress, UpstreamError
from prx.mcp.client.names import offered_name
from prx.mcp.client.unit import McpServer

if TYPE_CHECKING:
    from prx.mcp.client.connection import Connection

_METHODS: Final[Mapping[ItemKind, str]] = {
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
    "prompts": "prompts/list",
}
_CAPABILITIES: Final[Mapping[ItemKind, str]] = {
    "resources": "resources",
    "resourceTemplates": "resources",
    "prompts": "prompts",
}
_METHOD_NOT_FOUND: Final = -32601
_MAX_ITEMS: Final = 10_000
_MAX_BYTES: Final = 16 * 1024 * 1024


class ConnectedServer:
    """See `prx.core.upstream.Upstream`."""

    def __init__(self, unit: McpServer, connection: "Connection") -> None:
        """Speak to the server of `unit` over `connection`."""
        self._unit = unit
        self._connection = connection

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._unit.server

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What it says it can."""
        return self._connection.capabilities

    def shown_name(self, own: str) -> str:
        """Return the name under which its prompt `own` is offered."""
        return offered_name(self._unit.config.tool_name_prefix, self._unit.server, own)

    async def items(self, kind: ItemKind) -> Sequence[Mapping[str, Any]]:
        """Return what it lists of `kind`; see `Upstream`."""
        if _CAPABILITIES[kind] not in self._connection.capabilities:
            return []
        lists = self._connection.lists
        if kind not in lists:
            lists[kind] = await self._read(kind)
        return lists[kind]

    async def _read(self, kind: ItemKind) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        size = 0
        try:
            async for page in self._connection.pages(_METHODS[kind], kind, self._unit.request_secs):
                found += [item for item in page if isinstance(item, dict)][: _MAX_ITEMS - len(found)]
                size += len(json.dumps(page))
                if size > _MAX_BYTES or len(found) == _MAX_ITEMS:
                    break
        except UpstreamError as error:
            # Many a server that has resources knows no templates of them.
            if error.number != _METHOD_NOT_FOUND:
                raise
        return found

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        progress: Progress | None = None,
        ask: Ask | None = None,
    ) -> dict[str, Any]:
        """Return the result of a request; see `Upstream`."""
        return await self._unit.request(method, params, progress, ask)
