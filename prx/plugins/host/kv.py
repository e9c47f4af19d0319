"""`prx:host/kv`: durable values of one plugin, shared by all its capabilities, within its quota."""

import sqlite3

from prx.core.errors import BadRequestError
from prx.plugins.calls import Call
from prx.runtime.store import Store

_MAX_KEY_BYTES = 512
_MAX_VALUE_BYTES = 1024 * 1024
_MAX_LISTED_KEYS = 10_000


class KeyValue:
    """The table of all plugins' values. Runs on the plugins' threads; each waits no longer than its call may."""

    def __init__(self, store: Store) -> None:
        """Keep values in `store`."""
        self._store = store

    def get(self, call: Call, key: str) -> bytes | None:
        """Return the value of `key`, if there is one."""
        _check_key(key)

        def job(db: sqlite3.Connection) -> bytes | None:
            row = db.execute(
                "SELECT value FROM plugin_kv WHERE plugin = ? AND key = ?", (call.plugin, key)
            ).fetchone()
            return row[0] if row is not None else None

        return self._store.run_from_thread(job, call.remaining_secs())

    def set(self, call: Call, key: str, value: bytes) -> None:
        """Store `value` under `key`, on disk before this returns.

        Raises:
            BadRequestError: the key or the value is too long, or the plugin's quota would be exceeded.
        """
        _check_key(key)
        if len(value) > _MAX_VALUE_BYTES:
            raise BadRequestError(f"a value may have {_MAX_VALUE_BYTES} bytes, this one has {len(value)}")
        quota = call.limits.max_kv_bytes

        def job(db: sqlite3.Connection) -> None:
            (others,) = db.execute(
                "SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value)), 0) FROM plugin_kv "
                "WHERE plugin = ? AND key <> ?",
                (call.plugin, key),
            ).fetchone()
            needed = others + len(key.encode()) + len(value)
            if needed > quota:
                raise BadRequestError(
                    f"the plugin's store is full: {needed} bytes needed, {quota} allowed (max_kv_storage_kb)"
                )
            db.execute(
                "INSERT INTO plugin_kv (plugin, key, value) VALUES (?, ?, ?) "
                "ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
                (call.plugin, key, value),
            )

        self._store.run_from_thread(job, call.remaining_secs())

    def delete(self, call: Call, key: str) -> bool:
        """Forget `key`; return whether it was there."""
        _check_key(key)

        def job(db: sqlite3.Connection) -> bool:
            return (
                db.execute("DELETE FROM plugin_kv WHERE plugin = ? AND key = ?", (call.plugin, key)).rowcount
                > 0
            )

        return self._store.run_from_thread(job, call.remaining_secs())

    def list_keys(self, call: Call, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, in order.

        Raises:
            BadRequestError: there are more than a guest can take at once.
        """
        start = prefix.encode()

        def job(db: sqlite3.Connection) -> list[str]:
            # As bytes: SQLite's text functions stop at a NUL, which a key may hold.
            rows = db.execute(
                "SELECT key FROM plugin_kv WHERE plugin = ? AND substr(CAST(key AS BLOB), 1, ?) = ? "
                "ORDER BY key LIMIT ?",
                (call.plugin, len(start), start, _MAX_LISTED_KEYS + 1),
            ).fetchall()
            if len(rows) > _MAX_LISTED_KEYS:
                raise BadRequestError(f"more than {_MAX_LISTED_KEYS} keys: list them by longer prefixes")
            return [key for (key,) in rows]

        return self._store.run_from_thread(job, call.remaining_secs())


def _check_key(key: str) -> None:
    size = len(key.encode())
    if not 1 <= size <= _MAX_KEY_BYTES:
        raise BadRequestError(f"a key has 1 to {_MAX_KEY_BYTES} bytes, this one has {size}")
