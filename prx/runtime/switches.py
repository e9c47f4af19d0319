"""What the operator disabled over the API, plugins or MCP servers: remembered over restarts."""

import sqlite3
from typing import Literal

from prx.runtime.store import Store


class Switches:
    """The names of what is disabled, of one kind."""

    def __init__(self, store: Store, table: Literal["plugin_state", "mcp_state"]) -> None:
        """Know nothing until `load`; `table` is where it is remembered."""
        self._store = store
        self._table = table
        self._disabled: set[str] = set()

    async def load(self) -> None:
        """Read what was remembered.

        Raises:
            UnavailableError: the store cannot be read.
        """

        def job(db: sqlite3.Connection) -> set[str]:
            return {name for (name,) in db.execute(f"SELECT name FROM {self._table} WHERE disabled")}  # noqa: S608  # one of two

        self._disabled = await self._store.run(job)

    def disabled(self, name: str) -> bool:
        """Tell whether the operator disabled `name`."""
        return name in self._disabled

    async def set(self, name: str, *, disabled: bool) -> None:
        """Remember the operator's choice; on disk when this returns.

        Raises:
            UnavailableError: the store cannot write.
        """

        def job(db: sqlite3.Connection) -> None:
            db.execute(
                f"INSERT INTO {self._table} (name, disabled) VALUES (?, ?) "  # noqa: S608  # as above
                "ON CONFLICT (name) DO UPDATE SET disabled = excluded.disabled",
                (name, disabled),
            )

        await self._store.run(job)
        (self._disabled.add if disabled else self._disabled.discard)(name)

    def forget(self, name: str) -> None:
        """Know nothing of `name` any more; whoever removes it has the store forget it, too."""
        self._disabled.discard(name)
