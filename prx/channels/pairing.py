"""Users who ask to be let in: each gets a code, which somebody who runs the daemon approves."""

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prx.channels.inbox_table import Address
from prx.core.channel import IncomingMessage
from prx.core.errors import NotFoundError
from prx.core.ids import iso_utc, now_utc
from prx.runtime.store import Store

VALID_FOR: Final = timedelta(hours=1)
_MAX_OPEN: Final = 50
"""Of one channel."""
# Without letters and digits that are taken for each other.
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class Pairing:
    """Somebody who asks to be let in."""

    code: str
    channel: str
    sender: str
    sender_name: str
    address: Address
    asked_at: datetime


class Pairings:
    """Codes that nobody has decided about yet; each is good for an hour, and there are 50 of a channel at most."""

    def __init__(self, store: Store) -> None:
        """Keep them in `store`."""
        self._store = store

    async def ask(self, channel: str, message: IncomingMessage, address: Address) -> str | None:
        """Return the sender's code; None where too many others have one.

        Raises:
            UnavailableError: the store cannot write.
        """
        now = now_utc()

        def job(db: sqlite3.Connection) -> str | None:
            _forget_old(db, now)
            known = db.execute(
                "SELECT code FROM channel_pairings WHERE channel = ? AND sender = ?",
                (channel, message.sender),
            ).fetchone()
            if known is not None:
                return str(known[0])
            (waiting,) = db.execute(
                "SELECT count(*) FROM channel_pairings WHERE channel = ?", (channel,)
            ).fetchone()
            if waiting >= _MAX_OPEN:
                return None
            code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
            db.execute(
                "INSERT INTO channel_pairings VALUES (?, ?, ?, ?, ?, ?)",
                (code, channel, message.sender, message.sender_name, json.dumps(address), iso_utc(now)),
            )
            return code

        return await self._store.run(job)

    async def list(self) -> Sequence[Pairing]:
        """Return those that wait, the oldest first.

        Raises:
            UnavailableError: the store cannot be read.
        """
        now = now_utc()

        def job(db: sqlite3.Connection) -> list[Pairing]:
            _forget_old(db, now)
            return [
                Pairing(
                    code,
                    channel,
                    sender,
                    name,
                    Address(*json.loads(address)),
                    datetime.fromisoformat(asked_at),
                )
                for code, channel, sender, name, address, asked_at in db.execute(
                    "SELECT * FROM channel_pairings ORDER BY asked_at"
                )
            ]

        return await self._store.run(job)

    async def find(self, code: str) -> Pairing:
        """Return the one with a code, however that is written.

        Raises:
            NotFoundError: nobody has this code, perhaps any more.
            UnavailableError: the store cannot be read.
        """
        wanted = code.strip().upper().replace("-", "")
        if len(wanted) != _LENGTH:
            raise NotFoundError(
                f"There is no such code: one has {_LENGTH} letters and digits, as /pair gives it"
            )
        found = next((pairing for pairing in await self.list() if pairing.code == wanted), None)
        if found is None:
            hours = VALID_FOR / timedelta(hours=1)
            raise NotFoundError(
                f"Nobody waits with the code {wanted}; one is good for {hours:g} h, and /pair gives another"
            )
        return found

    async def remove(self, code: str) -> None:
        """Forget one that was decided about.

        Raises:
            UnavailableError: the store cannot write.
        """
        await self._store.run(lambda db: db.execute("DELETE FROM channel_pairings WHERE code = ?", (code,)))


def _forget_old(db: sqlite3.Connection, now: datetime) -> None:
    db.execute("DELETE FROM channel_pairings WHERE asked_at < ?", (iso_utc(now - VALID_FOR),))
