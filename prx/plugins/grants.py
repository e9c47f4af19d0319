"""What the operator allows each plugin, and what was refused to it: the manifest only asks."""

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from prx.core.errors import BadRequestError
from prx.core.ids import iso_utc, now_utc
from prx.plugins.manifest import Permission
from prx.plugins.settings import ALWAYS_GRANTED
from prx.runtime.store import Store

_MAX_KINDS = 64


@dataclass(slots=True)
class Denial:
    """One thing that was refused, however often."""

    permission: str
    operation: str
    count: int
    first: datetime
    last: datetime


class Ledger:
    """The refusals of one plugin: written from its threads, 64 kinds at most, the oldest kinds kept."""

    def __init__(self) -> None:
        """Start with nothing refused."""
        self._lock = threading.Lock()
        self._denials: dict[tuple[str, str], Denial] = {}
        self.changed = False

    def note(self, permission: str, operation: str) -> None:
        """Count a refusal of `operation` for want of `permission`."""
        now = now_utc()
        with self._lock:
            denial = self._denials.get((permission, operation))
            if denial is not None:
                denial.count += 1
                denial.last = now
            elif len(self._denials) < _MAX_KINDS:
                self._denials[permission, operation] = Denial(permission, operation, 1, now, now)
            self.changed = True

    def restore(self, denial: Denial) -> None:
        """Put back what was refused before a restart."""
        self._denials[denial.permission, denial.operation] = denial

    def denials(self) -> list[Denial]:
        """Return what was refused, the most recent first."""
        with self._lock:
            return sorted(self._denials.values(), key=lambda denial: denial.last, reverse=True)


def check_decisions(decisions: Mapping[str, bool]) -> None:
    """Refuse a decision that cannot be taken.

    Raises:
        BadRequestError: the permission does not exist, or is one that every plugin has.
    """
    known = get_args(Permission)
    for permission, allowed in decisions.items():
        if permission not in known:
            raise BadRequestError(f'there is no permission "{permission}"; there are {", ".join(known)}')
        if not allowed and permission in ALWAYS_GRANTED:
            raise BadRequestError(f'"{permission}" cannot be revoked: every plugin has it')


class Grants:
    """The operator's decisions by plugin, over restarts, upgrades and removals."""

    def __init__(self, store: Store) -> None:
        """Know nothing until `load`."""
        self._store = store
        self._decisions: dict[str, dict[str, bool]] = {}
        self._ledgers: dict[str, Ledger] = {}

    async def load(self) -> None:
        """Read what was decided and what was refused."""

        def job(db: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            grants = db.execute("SELECT plugin, permission, allowed FROM plugin_grants").fetchall()
            denials = db.execute(
                "SELECT plugin, permission, operation, count, first_at, last_at FROM plugin_denials"
            ).fetchall()
            return grants, denials

        grants, denials = await self._store.run(job)
        for plugin, permission, allowed in grants:
            self._decisions.setdefault(plugin, {})[permission] = bool(allowed)
        for plugin, permission, operation, count, first, last in denials:
            times = datetime.fromisoformat(first), datetime.fromisoformat(last)
            self.ledger(plugin).restore(Denial(permission, operation, count, *times))

    def decisions(self, plugin: str) -> Mapping[str, bool]:
        """Return what the operator decided for `plugin`: permission -> allowed."""
        return self._decisions.get(plugin, {})

    def ledger(self, plugin: str) -> Ledger:
        """Return the ledger of `plugin`."""
        return self._ledgers.setdefault(plugin, Ledger())

    async def decide(self, plugin: str, decisions: Mapping[str, bool]) -> None:
        """Remember `decisions` on top of earlier ones."""

        def job(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT INTO plugin_grants (plugin, permission, allowed) VALUES (?, ?, ?) "
                "ON CONFLICT (plugin, permission) DO UPDATE SET allowed = excluded.allowed",
                [(plugin, permission, allowed) for permission, allowed in decisions.items()],
            )

        await self._store.run(job)
        self._decisions.setdefault(plugin, {}).update(decisions)

    async def flush(self) -> None:
        """Write the ledgers that changed.

        Raises:
            UnavailableError: the store could not; they still count as changed.
        """
        changed = {name: ledger for name, ledger in self._ledgers.items() if ledger.changed}
        if not changed:
            return
        rows = []
        for name, ledger in changed.items():
            ledger.changed = False
            rows += [
                (name, d.permission, d.operation, d.count, iso_utc(d.first), iso_utc(d.last))
                for d in ledger.denials()
            ]

        def job(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR REPLACE INTO plugin_denials "
                "(plugin, permission, operation, count, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

        try:
            await self._store.run(job)
        except BaseException:
            for ledger in changed.values():
                ledger.changed = True
            raise
