"""Which MCP servers the operator disabled over the API: remembered over restarts."""

import sqlite3

from prx.runtime.store import Store


class Switches:
    """The names of the disabled servers."""

    def __init__(self, store: Store) -> None:
        """Know nothing until `load`."""
        self._store = store
        self._disabled: set[str] = set()

    async def load(self) -> None:
        """Read what was remembered."""

        def job(db: sqlite3.Connection) -> set[str]:
            return {name for (name,) in db.execute("SELECT name FROM mcp_disabled")}

        self._disabled = await self._store.run(job)

    def disabled(self, server: str) -> bool:
        """Tell whether the operator disabled `server`."""
        return server in self._disabled

    async def set(self, server: str, *, disabled: bool) -> None:
        """Remember the operator's choice; on disk when this returns.

        Raises:
            UnavailableError: the store cannot write.
        """

        def job(db: sqlite3.Connection) -> None:
            if disabled:
                db.execute("INSERT OR IGNORE INTO mcp_disabled VALUES (?)", (server,))
            else:
                db.execute("DELETE FROM mcp_disabled WHERE name = ?", (server,))

        await self._store.run(job)
        (self._disabled.add if disabled else self._disabled.discard)(server)
