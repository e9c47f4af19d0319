"""What the operator allows each plugin, and what was refused to it: the manifest only asks."""

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from prx.core.errors import BadRequestError
from prx.core.ids import iso_utc, now_utc
from prx.plugins.asked import Asked
from prx.plugins.manifest import Permission
from prx.plugins.settings import ALWAYS_GRANTED, Decision
from prx.runtime.store import Store

_MAX_KINDS = 64
# A guest may try as many hosts as it likes: the rest is kept for its other permissions.
_MAX_KINDS_OF_ONE = 32


@dataclass(slots=True)
class Denial:
    """One thing that was refused, however often."""

    permission: str
    operation: str
    count: int
    first: datetime
    last: datetime
    allow_with: str = ""
    """The least that would have allowed it when it was last refused; empty in the rows of older versions."""


class Ledger:
    """The refusals of one plugin: written from its threads.

    64 kinds at most, and 32 for want of one permission; the oldest kinds are kept.
    """

    def __init__(self) -> None:
        """Start with nothing refused."""
        self._lock = threading.Lock()
        self._denials: dict[tuple[str, str], Denial] = {}
        self.changed = False

    def note(self, permission: str, operation: str, allow_with: str) -> None:
        """Count a refusal of `operation` for want of `permission`, which `allow_with` would give."""
        now = now_utc()
        with self._lock:
            denial = self._denials.get((permission, operation))
            if denial is not None:
                denial.count += 1
                denial.last = now
                denial.allow_with = allow_with
            elif self._has_room(permission):
                self._denials[permission, operation] = Denial(permission, operation, 1, now, now, allow_with)
            self.changed = True

    def restore(self, denial: Denial) -> None:
        """Put back what was refused before a restart."""
        self._denials[denial.permission, denial.operation] = denial

    def denials(self) -> list[Denial]:
        """Return what was refused, the most recent first."""
        with self._lock:
            return sorted(self._denials.values(), key=lambda denial: denial.last, reverse=True)

    def _has_room(self, permission: str) -> bool:
        of_one = sum(kind[0] == permission for kind in self._denials)
        return len(self._denials) < _MAX_KINDS and of_one < _MAX_KINDS_OF_ONE


def check_decisions(plugin: str, decisions: Mapping[str, bool], asked: Asked | None) -> None:
    """Refuse a decision that cannot be taken; `asked` is `None` while the plugin's files could not be read.

    Raises:
        BadRequestError: the permission does not exist, every plugin has it, or this one does not ask for it.
    """
    known = get_args(Permission)
    for permission, allowed in decisions.items():
        if permission not in known:
            raise BadRequestError(f'there is no permission "{permission}"; there are {", ".join(known)}')
        if not allowed and permission in ALWAYS_GRANTED:
            raise BadRequestError(f'"{permission}" cannot be revoked: every plugin has it')
        if allowed and asked is not None and permission not in {*asked.permissions, *ALWAYS_GRANTED}:
            asks = ", ".join((*asked.required, *asked.optional)) or "nothing"
            raise BadRequestError(
                f'plugin "{plugin}" does not ask for "{permission}", but for {asks}: a plugin is granted what the '
                "[permissions] of its plugin.toml name"
            )


def decision_of(allowed: int, covers: str | None) -> Decision:
    """Return what a row of `plugin_grants` says."""
    return Decision(bool(allowed), None if covers is None else tuple(json.loads(covers)))


class Grants:
    """The operator's decisions by plugin, over restarts, upgrades and removals."""

    def __init__(self, store: Store) -> None:
        """Know nothing until `load`."""
        self._store = store
        self._decisions: dict[str, dict[str, Decision]] = {}
        self._ledgers: dict[str, Ledger] = {}

    async def load(self) -> None:
        """Read what was decided and what was refused."""

        def job(db: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            grants = db.execute("SELECT plugin, permission, allowed, covers FROM plugin_grants").fetchall()
            denials = db.execute(
                "SELECT plugin, permission, operation, count, first_at, last_at, allow_with FROM plugin_denials"
            ).fetchall()
            return grants, denials

        grants, denials = await self._store.run(job)
        for plugin, permission, allowed, covers in grants:
            self._decisions.setdefault(plugin, {})[permission] = decision_of(allowed, covers)
        for plugin, permission, operation, count, first, last, allow_with in denials:
            times = datetime.fromisoformat(first), datetime.fromisoformat(last)
            self.ledger(plugin).restore(Denial(permission, operation, count, *times, allow_with))

    def decisions(self, plugin: str) -> Mapping[str, Decision]:
        """Return what the operator decided for `plugin`, by permission."""
        return self._decisions.get(plugin, {})

    def ledger(self, plugin: str) -> Ledger:
        """Return the ledger of `plugin`."""
        return self._ledgers.setdefault(plugin, Ledger())

    async def decide(self, plugin: str, decisions: Mapping[str, bool], asked: Asked | None) -> None:
        """Remember `decisions` on top of earlier ones; a grant covers what is `asked` now, all if `None`."""
        decided = {
            permission: self._decision(plugin, permission, asked, allowed=allowed)
            for permission, allowed in decisions.items()
        }

        def job(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR REPLACE INTO plugin_grants (plugin, permission, allowed, covers) VALUES (?, ?, ?, ?)",
                [
                    (
                        plugin,
                        permission,
                        made.allowed,
                        None if made.covers is None else json.dumps(made.covers),
                    )
                    for permission, made in decided.items()
                ],
            )

        await self._store.run(job)
        self._decisions.setdefault(plugin, {}).update(decided)

    def _decision(self, plugin: str, permission: str, asked: Asked | None, *, allowed: bool) -> Decision:
        if not allowed or asked is None:
            return Decision(allowed)
        before = self.decisions(plugin).get(permission)
        granted = before.covers if before is not None and before.allowed else None
        return Decision(allowed, asked.consent(permission, granted or ()))

    def forget(self, plugin: str) -> None:
        """Know nothing of `plugin` any more; see `prx.plugins.forgetting` for the store."""
        self._decisions.pop(plugin, None)
        self._ledgers.pop(plugin, None)

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
                (name, d.permission, d.operation, d.count, iso_utc(d.first), iso_utc(d.last), d.allow_with)
                for d in ledger.denials()
            ]

        def job(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR REPLACE INTO plugin_denials "
                "(plugin, permission, operation, count, first_at, last_at, allow_with) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

        try:
            await self._store.run(job)
        except BaseException:
            for ledger in changed.values():
                ledger.changed = True
            raise
