"""A kept version and a step back that holds, and how the store remembers both."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prx.core.ids import iso_utc
from prx.plugins.errors import LoadError

State = Literal["live", "replaced", "rolled_back"]


@dataclass(slots=True)
class Kept:
    """One version that loaded. The same component and manifest are the same generation, however often it loads."""

    number: int
    """Per plugin and ascending, over restarts."""
    version: str
    digest: str
    identity: str
    signature: bytes | None
    loaded_at: datetime
    """When it last took the place of another one."""
    state: State = "live"
    reason: str | None = None
    """Why it was rolled back."""
    before: int | None = None
    """The generation that it replaced and may have to give way to again."""
    calls: int | None = None
    """Of its past lives since the daemon started; `None` before the first one was over."""
    failures: int | None = None

    def add(self, calls: int, failures: int) -> None:
        """Count calls of a past life."""
        self.calls = (self.calls or 0) + calls
        self.failures = (self.failures or 0) + failures


@dataclass(frozen=True, slots=True)
class Rollback:
    """A step back that still holds."""

    passed_over: str
    """The identity of what lies in the directory and is not loaded."""
    left: int
    goal: int
    reason: str
    at: datetime
    automatic: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the store is to say of one plugin."""

    plugin: str
    kept: list[Kept]
    rollback: Rollback | None
    manifests: dict[tuple[str, int], str | None]


def read_all(db: sqlite3.Connection) -> tuple[dict[str, list[Kept]], dict[str, Rollback]]:
    kept: dict[str, list[Kept]] = {}
    rows = db.execute(
        "SELECT plugin, number, version, digest, identity, signature, loaded_at, state, reason, before "
        "FROM plugin_generations"
    )
    for plugin, number, version, digest, identity, signature, loaded_at, state, reason, before in rows:
        at = datetime.fromisoformat(loaded_at)
        kept.setdefault(plugin, []).append(
            Kept(number, version, digest, identity, signature, at, state, reason, before)
        )
    rows = db.execute("SELECT plugin, passed_over, left, goal, reason, at, automatic FROM plugin_rollbacks")
    rollbacks = {
        plugin: Rollback(passed_over, left, goal, reason, datetime.fromisoformat(at), bool(automatic))
        for plugin, passed_over, left, goal, reason, at, automatic in rows
    }
    return kept, rollbacks


def manifest_of(db: sqlite3.Connection, plugin: str, number: int) -> str | None:
    row = db.execute(
        "SELECT manifest FROM plugin_generations WHERE plugin = ? AND number = ?", (plugin, number)
    ).fetchone()
    if row is None:
        raise LoadError(f"generation {number} is not kept any more")
    manifest: str | None = row[0]
    return manifest


def write_all(db: sqlite3.Connection, states: Sequence[Remembered]) -> None:
    for state in states:
        plugin = state.plugin
        numbers = [kept.number for kept in state.kept]
        marks = ", ".join("?" * len(numbers))
        db.execute(
            f"DELETE FROM plugin_generations WHERE plugin = ? AND number NOT IN ({marks})",  # noqa: S608  # marks only
            (plugin, *numbers),
        )
        for kept in state.kept:
            _write(db, plugin, kept, state.manifests)
        db.execute("DELETE FROM plugin_rollbacks WHERE plugin = ?", (plugin,))
        rollback = state.rollback
        if rollback is not None:
            db.execute(
                "INSERT INTO plugin_rollbacks (plugin, passed_over, left, goal, reason, at, automatic) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    plugin, rollback.passed_over, rollback.left, rollback.goal, rollback.reason,
                    iso_utc(rollback.at), rollback.automatic,
                ),
            )  # fmt: skip


def _write(
    db: sqlite3.Connection, plugin: str, kept: Kept, manifests: Mapping[tuple[str, int], str | None]
) -> None:
    at = iso_utc(kept.loaded_at)
    if (plugin, kept.number) not in manifests:
        db.execute(
            "UPDATE plugin_generations SET signature = ?, loaded_at = ?, state = ?, reason = ?, before = ? "
            "WHERE plugin = ? AND number = ?",
            (kept.signature, at, kept.state, kept.reason, kept.before, plugin, kept.number),
        )
        return
    db.execute(
        "INSERT OR REPLACE INTO plugin_generations "
        "(plugin, number, version, digest, identity, manifest, signature, loaded_at, state, reason, before) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            plugin, kept.number, kept.version, kept.digest, kept.identity, manifests[plugin, kept.number],
            kept.signature, at, kept.state, kept.reason, kept.before,
        ),
    )  # fmt: skip
