"""What happened that clients may want to hear of, gathered until it is told: many changes in a moment are one."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from prx.runtime.changes import Changes

TOOLS_CHANGED: Final = "notifications/tools/list_changed"
PROMPTS_CHANGED: Final = "notifications/prompts/list_changed"
RESOURCES_CHANGED: Final = "notifications/resources/list_changed"
RESOURCE_UPDATED: Final = "notifications/resources/updated"
LOGGED: Final = "notifications/message"
LISTS: Final = frozenset({TOOLS_CHANGED, PROMPTS_CHANGED, RESOURCES_CHANGED})

_SETTLE_SECS: Final = 0.1
_MAX_UPDATED: Final = 1024
_MAX_LINES: Final = 1024


class Batch(NamedTuple):
    """What there was since the last one."""

    lists: frozenset[str]
    """Methods of `LISTS`."""
    updated: list[str]
    """URIs of resources that changed."""
    lines: list[Mapping[str, Any]]
    """Parameters of `LOGGED`, in their order."""


class News:
    """Takes news without waiting, and gives it in batches. What nobody fetches in time is dropped, oldest first."""

    def __init__(self) -> None:
        """Start with none."""
        self._changes = Changes()
        self._lists: set[str] = set()
        self._updated: dict[str, None] = {}
        self._lines: list[Mapping[str, Any]] = []

    def changed(self, method: str) -> None:
        """Take that a list changed."""
        self._lists.add(method)
        self._changes.mark()

    def updated(self, uri: str) -> None:
        """Take that a resource changed."""
        if len(self._updated) >= _MAX_UPDATED:
            del self._updated[next(iter(self._updated))]
        self._updated[uri] = None
        self._changes.mark()

    def logged(self, params: Mapping[str, Any]) -> None:
        """Take a line of a server's log."""
        if len(self._lines) >= _MAX_LINES:
            del self._lines[0]
        self._lines.append(params)
        self._changes.mark()

    async def next(self) -> Batch:
        """Wait for news, and a moment for more of it."""
        while not (self._lists or self._updated or self._lines):
            await self._changes.after(self._changes.number)
        if not self._lines:
            await asyncio.sleep(_SETTLE_SECS)
        batch = Batch(frozenset(self._lists), list(self._updated), self._lines)
        self._lists, self._updated, self._lines = set(), {}, []
        return batch
