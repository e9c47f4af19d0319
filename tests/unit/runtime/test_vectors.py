"""Vectors of memories: the nearest are found, each owner's own, and go with their entries."""

import math
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.runtime.memory import Meaning, Memory
from prx.runtime.migrations import migrate
from prx.runtime.store import Store
from prx.runtime.vectors import nearest, normalized, put, without
from tests.support.examples import costly

COMPONENTS = st.floats(-1, 1, width=32)
VECTORS = st.integers(1, 8).flatmap(
    lambda size: st.lists(
        st.lists(COMPONENTS, min_size=size, max_size=size).filter(lambda each: math.hypot(*each) > 1e-3),
        min_size=1,
        max_size=40,
    )
)


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    store = await Store.open(tmp_path / "prx.db")
    yield await Memory.open(store)
    await store.aclose()


def filled(vectors: Sequence[Sequence[float]]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, Path("memory"))
    for number in range(1, len(vectors) + 1):
        db.execute(
            "INSERT INTO memory_entries (number, id, text, category, importance, created_at) "
            "VALUES (?, ?, 'text', 'fact', 0.5, '2026')",
            (number, str(number)),
        )
    put(db, "m", [(number, normalized(vector)) for number, vector in enumerate(vectors, 1)])
    return db


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    products = sum(a * b for a, b in zip(one, other, strict=True))
    return products / math.hypot(*one) / math.hypot(*other)


@costly()
@given(VECTORS)
def test_the_nearest_are_those_with_the_highest_cosine(vectors: list[list[float]]) -> None:
    wanted = vectors[0]
    db = filled(vectors)
    found = nearest(db, "m", normalized(wanted), 100, None, -1.1)
    assert len(found) == len(vectors)
    assert [near.similarity for near in found] == sorted((near.similarity for near in found), reverse=True)
    for near in found:
        assert near.similarity == pytest.approx(cosine(wanted, vectors[near.number - 1]), abs=1e-5)
    db.close()


def test_bits_find_the_candidates_among_thousands() -> None:
    chance = random.Random(1)  # noqa: S311  # not for secrets
    vectors = [[chance.gauss(0, 1) for _ in range(256)] for _ in range(2000)]
    wanted = [each + chance.gauss(0, 0.5) for each in vectors[1234]]
    db = filled(vectors)
    found = nearest(db, "m", normalized(wanted), 5, None, 0.5)
    assert [near.number for near in found] == [1235]
    db.close()


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [math.inf, 1.0], [math.nan]])
def test_what_has_no_direction_is_no_vector(vector: list[float]) -> None:
    assert normalized(vector) == b""


def test_vectors_of_other_lengths_and_models_and_empty_ones_are_passed_over() -> None:
    db = filled([[1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    put(db, "other", [(4, normalized([1.0, 0.0]))])
    assert [near.number for near in nearest(db, "m", normalized([1.0, 0.0]), 9, None, -1)] == [1]
    assert [bare.number for bare in without(db, "m", 9)] == [4]
    assert [bare.number for bare in without(db, "other", 9)] == [3, 2, 1]
    put(db, "m", [(99, normalized([1.0, 0.0]))])  # it is gone by now
    assert db.execute("SELECT count(*) FROM memory_vectors").fetchone() == (4,)
    db.close()


async def found(memory: Memory, query: str, meaning: list[float], **more: Any) -> list[str]:
    entries = await memory.relevant(query, 10, meaning=Meaning("m", normalized(meaning), 0.5), **more)
    return [entry.text for entry in entries]


async def test_words_and_meaning_rank_together_and_owners_stay_apart(memory: Memory) -> None:
    vectors = {
        "I like tea": ([1.0, 0.1], None),
        "the kettle is hot": ([0.9, 0.2], None),
        "cars need tyres": ([0.0, 1.0], None),
        "my own tea": ([1.0, 0.0], "api:me"),
        "her tea": ([1.0, 0.0], "api:her"),
    }
    for text, (_, owner) in vectors.items():
        await memory.keep(text, "fact", owner)
    bare = await memory.without_vector("m", 10)
    await memory.put_vectors("m", [(each.number, normalized(vectors[each.text][0])) for each in bare])
    drinks = [1.0, 0.0]
    # What shares a word and means the like comes before what only means the like.
    assert await found(memory, "tea", drinks) == ["I like tea", "the kettle is hot"]
    assert set(await found(memory, "tea", drinks, owner="api:me")) == {
        "my own tea", "I like tea", "the kettle is hot",
    }  # fmt: skip
    # No word is shared, and even none is there.
    assert await found(memory, "beverages", drinks) == ["I like tea", "the kettle is hot"]
    assert await found(memory, "?", drinks) == ["I like tea", "the kettle is hot"]
    # Words alone are enough, too.
    assert await found(memory, "tyres", [0.0, -1.0]) == ["cars need tyres"]
    assert len(await memory.relevant("tea", 1, meaning=Meaning("m", normalized(drinks), 0.5))) == 1


async def test_a_forgotten_memory_takes_its_vector_along(memory: Memory) -> None:
    entry = await memory.keep("I like tea", "fact", None)
    [bare] = await memory.without_vector("m", 10)
    await memory.put_vectors("m", [(bare.number, normalized([1.0]))])
    assert await memory.without_vector("m", 10) == []
    await memory.forget(entry, None)
    await memory.keep("I like coffee", "fact", None)
    assert await found(memory, "?", [1.0]) == []
