"""Which plugin a tool's name belongs to: remembered, so that the order of loading never decides."""

import sqlite3
from collections.abc import Collection

from prx.core.errors import ConflictError
from prx.runtime.store import Store


class Holders:
    """Tool names by their plugin, over restarts."""

    def __init__(self, store: Store) -> None:
        """Know nothing until `load`."""
        self._store = store
        self._holder: dict[str, str] = {}

    async def load(self) -> None:
        """Read what was remembered."""
        self._holder = await self._store.run(
            lambda db: dict(db.execute("SELECT tool, plugin FROM tool_holders").fetchall())
        )

    def check(self, plugin: str, tools: Collection[str], installed: Collection[str]) -> None:
        """Refuse `tools` that belong to another plugin; names of plugins that are not `installed` any more are free.

        Raises:
            ConflictError: another installed plugin holds one of them; says how to resolve it.
        """
        for tool in tools:
            holder = self._holder.get(tool, plugin)
            if holder != plugin and holder in installed:
                raise ConflictError(taken(tool, f'plugin "{holder}"', plugin))

    async def record(self, plugin: str, tools: Collection[str]) -> None:
        """Remember that `tools`, and only these, belong to `plugin`, which offers them now."""
        before = {tool for tool, holder in self._holder.items() if holder == plugin}
        if before == set(tools):
            return
        for tool in before - set(tools):
            del self._holder[tool]
        self._holder.update(dict.fromkeys(tools, plugin))

        def remember(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM tool_holders WHERE plugin = ?", (plugin,))
            db.executemany(
                "INSERT INTO tool_holders (tool, plugin) VALUES (?, ?) "
                "ON CONFLICT (tool) DO UPDATE SET plugin = excluded.plugin",
                [(tool, plugin) for tool in tools],
            )

        await self._store.run(remember)

    def forget(self, plugin: str) -> None:
        """Know nothing of `plugin` any more; see `prx.plugins.forgetting` for the store."""
        self._holder = {tool: holder for tool, holder in self._holder.items() if holder != plugin}


def taken(tool: str, holder: str, plugin: str) -> str:
    """Say who holds a name and which key resolves the clash."""
    prefix = plugin.replace("-", "_")
    return (
        f'its tool "{tool}" is already offered by {holder}: set [plugins.settings.{plugin}] tool_prefix = "{prefix}_" '
        "in prx.toml, or remove one of the two"
    )
