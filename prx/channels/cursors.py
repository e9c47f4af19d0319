"""Where each channel goes on with its platform after a restart."""

from datetime import timedelta
from typing import Final

from prx.core.errors import PrxError
from prx.core.ids import iso_utc, now_utc
from prx.runtime.store import Store

_MAX_CHARS: Final = 64 * 1024


class Cursors:
    """One cursor for each channel, on disk."""

    def __init__(self, store: Store) -> None:
        """Keep them in `store`."""
        self._store = store

    async def load(self, channel: str, max_age_secs: float | None = None) -> str | None:
        """Return what was saved last; None where that is older than `max_age_secs`, or was never.

        Raises:
            UnavailableError: the store cannot be read.
        """
        oldest = "" if max_age_secs is None else iso_utc(now_utc() - timedelta(seconds=max_age_secs))
        row = await self._store.run(
            lambda db: db.execute(
                "SELECT cursor FROM channel_cursors WHERE channel = ? AND saved_at >= ?", (channel, oldest)
            ).fetchone()
        )
        return None if row is None else str(row[0])

    async def save(self, channel: str, cursor: str) -> None:
        """Keep a cursor; it is on disk when this returns.

        Raises:
            UnavailableError: the store cannot write.
            PrxError: it is longer than one may be.
        """
        if len(cursor) > _MAX_CHARS:
            raise PrxError(f"the cursor has {len(cursor)} characters, and may have {_MAX_CHARS}")
        row = (channel, cursor, iso_utc(now_utc()))
        await self._store.run(
            lambda db: db.execute("INSERT OR REPLACE INTO channel_cursors VALUES (?, ?, ?)", row)
        )
