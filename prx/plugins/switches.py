"""Which plugins the operator disabled: remembered over restarts."""

import sqlite3

from prx.runtime.store import Store


class Switches:
    """The names of the disabled plugins."""

    def __init__(self, store: Store) -> None:
        """Know nothing until `load`."""
        self._store = store
        self._disabled: set[str] = set()

    async def load(self) -> None:
        """Read what was remembered."""

        def job(db: sqlite3.Connection) -> set[str]:
            return {name for (name,) in db.execute("SELECT name FROM plugin_state WHERE disabled")}

        self._disabled = await self._store.run(job)

    def disabled(self, plugin: str) -> bool:
        """Tell whether the operator disabled `plugin`."""
        return plugin in self._disabled

    async def set(self, plugin: str, *, disabled: bool) -> None:
        """Remember the operator's choice; on disk when this returns."""

        def job(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO plugin_state (name, disabled) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET disabled = excluded.disabled",
                (plugin, disabled),
            )

        await self._store.run(job)
        (self._disabled.add if disabled else self._disabled.discard)(plugin)

    def forget(self, plugin: str) -> None:
        """Know nothing of `plugin` any more; see `prx.plugins.forgetting` for the store."""
        self._disabled.discard(plugin)
