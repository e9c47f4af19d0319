"""What the store no longer knows of a plugin that was removed, so that another one of its name inherits no trust."""

import sqlite3

from prx.runtime.store import Store

# Each table that holds something of a plugin, and the column with its name.
_TRUST = {
    "plugin_grants": "plugin",
    "plugin_denials": "plugin",
    "plugin_state": "name",
    "plugin_quarantine": "plugin",
    "plugin_generations": "plugin",
    "plugin_rollbacks": "plugin",
    "tool_holders": "plugin",
}
_DATA = {"plugin_kv": "plugin"}


async def forget(store: Store, plugin: str, *, purge: bool) -> None:
    """Forget everything about `plugin`, all of it or nothing; its own data only to `purge` it.

    Raises:
        UnavailableError: the store cannot write.
    """
    tables = _TRUST | _DATA if purge else _TRUST

    def job(db: sqlite3.Connection) -> None:
        for table, column in tables.items():
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", (plugin,))  # noqa: S608  # names from above

    await store.run(job)
