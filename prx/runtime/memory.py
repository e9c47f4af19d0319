"""Long-term memory in the store: texts, found again by their words and ranked by how well they fit."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from prx.core.errors import BadRequestError
from prx.core.ids import iso_utc, new_id, now_utc
from prx.core.metric import Metric, gauge
from prx.runtime import vectors
from prx.runtime.bus import Bus
from prx.runtime.store import Store

_MAX_TEXT_BYTES = 64 * 1024
_MAX_CATEGORY_BYTES = 128
_MAX_RECALLED = 100
_MAX_QUERY_WORDS = 32
_DEFAULT_IMPORTANCE = 0.5
_RANK_DAMPING = 60
"""Of reciprocal rank fusion: how little it matters which of the first ones is the very first."""
STEP = 256
"""How many entries are removed at once."""
_WORD = re.compile(r"\w+")


class MemoryEntry(NamedTuple):
    """One remembered text."""

    id: str
    text: str
    category: str
    importance: float
    """From 0, trivial, to 1."""


class Meaning(NamedTuple):
    """What a query means, to an embedding model."""

    model: str
    vector: bytes
    """See `vectors.normalized`."""
    least: float
    """The similarity that counts as the like, where no word is shared."""


class Memory:
    """The memory's table. `remember` and `recall` run on a thread that may wait, never on the event loop."""

    def __init__(self, store: Store, tell: Callable[[str, Any], None] | None = None) -> None:
        """Use `open`: an object made here does not know how much there is."""
        self._store = store
        self._tell = tell or (lambda _topic, _payload: None)
        self.entries = 0
        """How many entries there are, as of the last change."""
        self.added = 0
        """Grows when there are new ones."""

    @classmethod
    async def open(cls, store: Store, bus: Bus | None = None) -> "Memory":
        """Keep memories in `store`; `bus` hears of what is stored and recalled."""
        memory = cls(store, None if bus is None else _teller(bus, asyncio.get_running_loop()))
        memory.entries = await store.run(_count)
        return memory

    def metrics(self) -> list[Metric]:
        """Return how much there is; see `MetricSource`."""
        return [gauge("prx_memory_entries", "Entries of the agent's long-term memory", self.entries)]

    def remember(self, text: str, category: str, timeout_secs: float) -> str:
        """Keep `text` for everybody, on disk before this returns; return the new entry's id.

        Raises:
            BadRequestError: the text or the category is empty or too long.
        """
        entry = _entry(text, category)
        self.entries = self._store.run_from_thread(partial(_insert, entry, None), timeout_secs)
        self._stored(entry, None)
        return entry.id

    async def keep(self, text: str, category: str, owner: str | None) -> str:
        """Do as `remember`, on the event loop, for `owner` alone where there is one."""
        entry = _entry(text, category)
        self.entries = await self._store.run(partial(_insert, entry, owner))
        self._stored(entry, owner)
        return entry.id

    def recall(self, query: str, limit: int, timeout_secs: float) -> list[MemoryEntry]:
        """Return at most `limit` (100 at most) of everybody's entries with a word of `query`, the best first."""
        words = _words(query)
        if not words:
            return []
        found = self._store.run_from_thread(partial(_found, words, limit, None), timeout_secs)
        self._recalled(found, None)
        return found

    async def relevant(
        self,
        query: str,
        limit: int,
        least: float = 0.0,
        owner: str | None = None,
        meaning: Meaning | None = None,
    ) -> list[MemoryEntry]:
        """Do as `recall`, on the event loop, for entries with at least that share of the words of `query`.

        Those of `owner` are looked at, too; and with its `meaning` those that mean the like, whatever their words.
        """
        words = _words(query)
        if not self.entries or not (words or meaning):
            return []
        found = await self._store.run(partial(_ranked, words, limit, least, owner, meaning))
        self._recalled(found, owner)
        return found

    async def without_vector(self, model: str, limit: int) -> list[vectors.Bare]:
        """Return entries that have no vector of `model`, the newest first."""
        return await self._store.run(lambda db: vectors.without(db, model, limit))

    async def put_vectors(self, model: str, found: Sequence[tuple[int, bytes]]) -> None:
        """Keep vectors of `model` for entries, by their numbers, in place of those of another model."""
        await self._store.run(lambda db: vectors.put(db, model, found))

    async def forget(self, entry_id: str, owner: str | None) -> bool:
        """Remove an entry of `owner`, or of everybody; return whether it was there."""

        def job(db: sqlite3.Connection) -> tuple[int, int]:
            removed = db.execute(
                "DELETE FROM memory_entries WHERE id = ? AND (owner IS NULL OR owner = ?)", (entry_id, owner)
            ).rowcount
            return removed, _count(db)

        removed, self.entries = await self._store.run(job)
        return bool(removed)

    async def forget_before(self, moment: datetime) -> int:
        """Remove entries that are older, a step of them at most; return how many."""

        def job(db: sqlite3.Connection) -> tuple[int, int]:
            removed = db.execute(
                "DELETE FROM memory_entries WHERE number IN (SELECT number FROM memory_entries "
                "WHERE created_at < ? ORDER BY created_at LIMIT ?)",
                (iso_utc(moment), STEP),
            ).rowcount
            return removed, _count(db)

        removed, self.entries = await self._store.run(job)
        return removed

    def _stored(self, entry: MemoryEntry, owner: str | None) -> None:
        self.added += 1
        self._tell("prx.memory.stored", {"id": entry.id, "category": entry.category, "owner": owner})

    def _recalled(self, found: Sequence[MemoryEntry], owner: str | None) -> None:
        if found:
            self._tell("prx.memory.recalled", {"ids": [entry.id for entry in found], "owner": owner})


def _teller(bus: Bus, loop: asyncio.AbstractEventLoop) -> Callable[[str, Any], None]:
    """Return what tells `bus`, which lives on `loop`, from any thread; events that come after its end are lost."""

    def tell(topic: str, payload: Any) -> None:
        if bus.heard:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(bus.publish, topic, payload)

    return tell


def _words(query: str) -> list[str]:
    """Return the words to look for, each once."""
    return list(dict.fromkeys(_WORD.findall(query.casefold())))[:_MAX_QUERY_WORDS]


def _entry(text: str, category: str) -> MemoryEntry:
    _check("text", text, _MAX_TEXT_BYTES)
    _check("category", category, _MAX_CATEGORY_BYTES)
    return MemoryEntry(new_id("mem"), text, category, _DEFAULT_IMPORTANCE)


def _insert(entry: MemoryEntry, owner: str | None, db: sqlite3.Connection) -> int:
    """Write an entry; return how many there are."""
    db.execute(
        "INSERT INTO memory_entries (id, text, category, importance, created_at, owner) VALUES (?, ?, ?, ?, ?, ?)",
        (*entry, iso_utc(now_utc()), owner),
    )
    return _count(db)


def _found(words: Sequence[str], limit: int, owner: str | None, db: sqlite3.Connection) -> list[MemoryEntry]:
    # Each word quoted, so that none is taken for an operator of the index's query language.
    match = " OR ".join(f'"{word}"' for word in words)
    rows = db.execute(
        "SELECT entry.id, entry.text, entry.category, entry.importance FROM memory_index "
        "JOIN memory_entries AS entry ON entry.number = memory_index.rowid "
        "WHERE memory_index MATCH ? AND (entry.owner IS NULL OR entry.owner = ?) "
        "ORDER BY bm25(memory_index), entry.number DESC LIMIT ?",
        (match, owner, min(limit, _MAX_RECALLED)),
    )
    return [MemoryEntry(*row) for row in rows.fetchall()]


def _ranked(
    words: Sequence[str],
    limit: int,
    least: float,
    owner: str | None,
    meaning: Meaning | None,
    db: sqlite3.Connection,
) -> list[MemoryEntry]:
    """Return what fits by its words, by its meaning or by both; what is high up in both rankings comes first."""
    by_words = _found(words, limit if meaning is None else _MAX_RECALLED, owner, db) if words else []
    by_words = [entry for entry in by_words if not least or _share(words, entry.text) >= least]
    if meaning is None:
        return by_words
    entries = {entry.id: entry for entry in by_words}
    scores = {entry.id: 1 / (_RANK_DAMPING + rank) for rank, entry in enumerate(by_words, 1)}
    near = vectors.nearest(db, meaning.model, meaning.vector, min(limit, _MAX_RECALLED), owner, meaning.least)
    for rank, (number, _) in enumerate(near, 1):
        entry = _numbered(number, db)
        entries[entry.id] = entry
        scores[entry.id] = scores.get(entry.id, 0.0) + 1 / (_RANK_DAMPING + rank)
    best = sorted(scores, key=scores.__getitem__, reverse=True)
    return [entries[each] for each in best[: min(limit, _MAX_RECALLED)]]


def _numbered(number: int, db: sqlite3.Connection) -> MemoryEntry:
    row = db.execute(
        "SELECT id, text, category, importance FROM memory_entries WHERE number = ?", (number,)
    ).fetchone()
    return MemoryEntry(*row)


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
