"""Vectors of memories in the store: the nearest ones to a vector, among those of one model.

A vector is kept twice: whole, of length 1, and as one bit for the sign of each component. Bits are compared in the
time that the rows take to read, so they find the candidates, and whole vectors rank these. Everything here but
`normalized` runs in the store's thread.
"""

import math
import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from operator import mul
from typing import Final, NamedTuple

_FLOAT: Final = "f"
_MAX_LOOKED_AT: Final = 20_000
"""Of each owner's, the newest: what is looked at holds up every other job of the store."""
_CANDIDATES: Final = 64
"""Each is a vector to be read and multiplied."""


class Near(NamedTuple):
    """A memory by how near its vector is."""

    number: int
    similarity: float
    """The cosine, from -1 to 1."""


class Bare(NamedTuple):
    """A memory that has no vector of a model yet."""

    number: int
    text: str


def normalized(vector: Sequence[float]) -> bytes:
    """Return a vector as it is kept: with the length 1; empty where it has no direction."""
    length = math.hypot(*vector)
    if not 0 < length < math.inf:
        return b""
    return array(_FLOAT, [each / length for each in vector]).tobytes()


def put(db: sqlite3.Connection, model: str, vectors: Iterable[tuple[int, bytes]]) -> None:
    """Keep `normalized` vectors of entries, by their numbers; an entry that is gone by now gets none.

    An empty one says that there is none to be had.
    """
    db.executemany(
        "INSERT OR REPLACE INTO memory_vectors (entry, model, owner, signs, vector) "
        "SELECT number, ?, owner, ?, ? FROM memory_entries WHERE number = ?",
        [(model, _signs(vector), vector, number) for number, vector in vectors],
    )


def without(db: sqlite3.Connection, model: str, limit: int) -> list[Bare]:
    """Return entries that have no vector of `model`, the newest first."""
    rows = db.execute(
        "SELECT number, text FROM memory_entries LEFT JOIN memory_vectors ON entry = number "
        "WHERE model IS NOT ? ORDER BY number DESC LIMIT ?",
        (model, limit),
    )
    return [Bare(*row) for row in rows.fetchall()]


def nearest(
    db: sqlite3.Connection, model: str, vector: bytes, limit: int, owner: str | None, least: float
) -> list[Near]:
    """Return entries of `owner` and of everybody that are at least so similar, the nearest first."""
    wanted = int.from_bytes(_signs(vector), "big")
    distances = [
        ((int.from_bytes(signs, "big") ^ wanted).bit_count(), -number)
        for whose in {None, owner}
        for number, signs in db.execute(
            "SELECT entry, signs FROM memory_vectors WHERE model = ? AND owner IS ? AND signs != x'' "
            "ORDER BY entry DESC LIMIT ?",
            (model, whose, _MAX_LOOKED_AT),
        )
    ]
    candidates = [-newer for _, newer in nsmallest(max(_CANDIDATES, 2 * limit), distances)]
    found = [near for number in candidates if (near := _near(db, number, vector)).similarity >= least]
    return sorted(found, key=lambda near: (-near.similarity, -near.number))[:limit]


def _near(db: sqlite3.Connection, number: int, wanted: bytes) -> Near:
    (kept,) = db.execute("SELECT vector FROM memory_vectors WHERE entry = ?", (number,)).fetchone()
    # A server that serves another model under the same name may give vectors of another length.
    similarity = sum(map(mul, _floats(kept), _floats(wanted))) if len(kept) == len(wanted) else -math.inf
    return Near(number, similarity)


def _floats(vector: bytes) -> "array[float]":
    return array(_FLOAT, vector)


def _signs(vector: bytes) -> bytes:
    """Return a bit for each component, set where it is not negative."""
    signs = "".join("1" if each >= 0 else "0" for each in _floats(vector))
    return int(signs, 2).to_bytes(math.ceil(len(signs) / 8), "big") if signs else b""
