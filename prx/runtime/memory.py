"""Long-term memory in the store: texts, found again by their words and ranked by how well they fit."""

import re
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from prx.core.errors import BadRequestError
from prx.core.ids import iso_utc, new_id, now_utc
from prx.core.metric import Metric, gauge
from prx.runtime.store import Store

_MAX_TEXT_BYTES = 64 * 1024
_MAX_CATEGORY_BYTES = 128
_MAX_RECALLED = 100
_MAX_QUERY_WORDS = 32
_DEFAULT_IMPORTANCE = 0.5
_WORD = re.compile(r"\w+")


class MemoryEntry(NamedTuple):
    """One remembered text."""

    id: str
    text: str
    category: str
    importance: float
    """From 0, trivial, to 1."""


class Memory:
    """The memory's table. `remember` and `recall` run on a thread that may wait, never on the event loop."""

    def __init__(self, store: Store) -> None:
        """Use `open`: an object made here does not know how much there is."""
        self._store = store
        self.entries = 0
        """How many entries there are, as of the last change."""

    @classmethod
    async def open(cls, store: Store) -> "Memory":
        """Keep memories in `store`."""
        memory = cls(store)
        memory.entries = await store.run(_count)
        return memory

    def metrics(self) -> list[Metric]:
        """Return how much there is; see `MetricSource`."""
        return [gauge("prx_memory_entries", "Entries of the agent's long-term memory", self.entries)]

    def remember(self, text: str, category: str, timeout_secs: float) -> str:
        """Keep `text`, on disk before this returns; return the new entry's id.

        Raises:
            BadRequestError: the text or the category is empty or too long.
        """
        _check("text", text, _MAX_TEXT_BYTES)
        _check("category", category, _MAX_CATEGORY_BYTES)
        entry = MemoryEntry(new_id("mem"), text, category, _DEFAULT_IMPORTANCE)

        def job(db: sqlite3.Connection) -> int:
            db.execute(
                "INSERT INTO memory_entries (id, text, category, importance, created_at) VALUES (?, ?, ?, ?, ?)",
                (*entry, iso_utc(now_utc())),
            )
            return _count(db)

        self.entries = self._store.run_from_thread(job, timeout_secs)
        return entry.id

    def recall(self, query: str, limit: int, timeout_secs: float) -> list[MemoryEntry]:
        """Return at most `limit` (100 at most) entries with a word of `query`, the best first."""
        words = _words(query)
        return self._store.run_from_thread(partial(_found, words, limit), timeout_secs) if words else []

    async def relevant(self, query: str, limit: int, least: float) -> list[MemoryEntry]:
        """Do as `recall`, on the event loop, for entries with at least that share of the words of `query`."""
        words = _words(query)
        found = await self._store.run(partial(_found, words, limit)) if words and self.entries else []
        return [entry for entry in found if _share(words, entry.text) >= least] if least else found


def _words(query: str) -> list[str]:
    """Return the words to look for, each once."""
    return list(dict.fromkeys(_WORD.findall(query.casefold())))[:_MAX_QUERY_WORDS]


def _found(words: Sequence[str], limit: int, db: sqlite3.Connection) -> list[MemoryEntry]:
    # Each word quoted, so that none is taken for an operator of the index's query language.
    match = " OR ".join(f'"{word}"' for word in words)
    rows = db.execute(
        "SELECT entry.id, entry.text, entry.category, entry.importance FROM memory_index "
        "JOIN memory_entries AS entry ON entry.number = memory_index.rowid "
        "WHERE memory_index MATCH ? ORDER BY bm25(memory_index), entry.number DESC LIMIT ?",
        (match, min(limit, _MAX_RECALLED)),
    )
    return [MemoryEntry(*row) for row in rows.fetchall()]


def _share(words: Sequence[str], text: str) -> float:
    """Return which share of `words` is in `text`, from 0 to 1."""
    there = set(_WORD.findall(text.casefold()))
    return sum(word in there for word in words) / len(words)


def _check(what: str, value: str, most: int) -> None:
    size = len(value.encode())
    if not 1 <= size <= most:
        raise BadRequestError(f"the {what} has 1 to {most} bytes, this one has {size}")


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM memory_entries").fetchone()[0])
