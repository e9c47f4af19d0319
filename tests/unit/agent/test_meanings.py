"""Memories get their vectors in the background, and are found by words alone while there are none."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prx.agent.meanings import Meanings
from prx.config.schema import MemoryConfig
from prx.core.provider import ProviderConfigurationError, ProviderError, ProviderUnavailableError
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from tests.support.waiting import eventually


class Letters:
    """An embedder for which texts mean the like that have the same letters."""

    def __init__(self) -> None:
        self.model: str | None = "house/letters"
        self.asked: list[tuple[str, list[str]]] = []
        self.refuse: Callable[[Sequence[str]], None] = lambda _texts: None

    async def embed(self, texts: Sequence[str], purpose: str) -> Sequence[Sequence[float]]:
        self.asked.append((purpose, list(texts)))
        self.refuse(texts)
        # As real ones, of components on both sides of 0.
        return [[text.count(letter) or -0.1 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


class Life:
    """Meanings with what is around them."""

    def __init__(self, store: Store, memory: Memory) -> None:
        self.store = store
        self.memory = memory
        self.letters = Letters()
        self.config = MemoryConfig()
        self.meanings = Meanings(lambda: self.config, self.letters, memory)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        unit = asyncio.ensure_future(self.meanings.run(lambda: None))
        try:
            yield
        finally:
            unit.cancel()
            await asyncio.wait({unit})

    async def until_whole(self) -> None:
        async with asyncio.timeout(15):
            while await self.memory.without_vector(self.letters.model or "", 1):
                pass

    async def found(self, query: str) -> list[str]:
        entries = await self.memory.relevant(query, 10, meaning=await self.meanings.of(query))
        return [entry.text for entry in entries]


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    store = await Store.open(tmp_path / "prx.db")
    yield Life(store, await Memory.open(store))
    await store.aclose()


async def test_memories_of_before_and_new_ones_are_found_by_what_they_mean(life: Life) -> None:
    for number in range(70):
        await life.memory.keep(f"zz {number}", "fact", None)
    await life.memory.keep("silent", "fact", None)
    async with life.running():
        await life.until_whole()
        assert max(len(texts) for _, texts in life.letters.asked) == 32
        assert await life.found("listen") == ["silent"]
        await life.memory.keep("enlist", "fact", None)
        await life.until_whole()
        assert sorted(await life.found("listen")) == ["enlist", "silent"]
        assert list(life.meanings.problems()) == []


async def test_another_model_makes_all_vectors_anew_and_none_needs_any(life: Life) -> None:
    await life.memory.keep("silent", "fact", None)
    async with life.running():
        await life.until_whole()
        life.letters.model = "house/others"
        await life.until_whole()
        assert [purpose for purpose, _ in life.letters.asked] == ["document", "document"]
        life.letters.model = None
        assert await life.meanings.of("listen") is None
        assert await life.found("silent") == ["silent"]


async def test_nobody_is_asked_what_a_query_means_where_nothing_is_remembered_or_a_plugin_remembers(
    life: Life,
) -> None:
    assert await life.meanings.of("listen") is None
    await life.memory.keep("silent", "fact", None)
    life.config = MemoryConfig(backend="notebook")
    assert await life.meanings.of("listen") is None
    assert life.letters.asked == []


async def test_words_do_while_the_model_gives_nothing_and_turns_do_not_wait_for_it_again(life: Life) -> None:
    def unreachable(_texts: Sequence[str]) -> None:
        raise ProviderUnavailableError("cannot be reached")

    await life.memory.keep("silent night", "fact", None)
    life.letters.refuse = unreachable
    assert await life.found("night") == ["silent night"]
    assert await life.found("listen") == []
    assert len(life.letters.asked) == 1
    [problem] = life.meanings.problems()
    assert (problem.unit, problem.reason) == ("agent.embeddings", "cannot be reached")
    # It comes back by itself, and at once when somebody changes the configuration.
    life.letters.refuse = lambda _texts: None
    async with life.running():
        await life.until_whole()
        await eventually(lambda: not list(life.meanings.problems()))
    life.meanings.reconfigured()
    assert await life.found("nights lent i") == ["silent night"]


async def test_a_model_that_is_not_configured_right_is_a_problem_and_tried_again(life: Life) -> None:
    def unknown(_texts: Sequence[str]) -> None:
        raise ProviderConfigurationError("no such model")

    await life.memory.keep("silent", "fact", None)
    life.letters.refuse = unknown
    async with life.running():
        await eventually(lambda: list(life.meanings.problems()))
        life.letters.refuse = lambda _texts: None
        await life.until_whole()


async def test_a_text_that_the_model_refuses_costs_the_others_nothing(life: Life) -> None:
    def picky(texts: Sequence[str]) -> None:
        if "bad" in texts:
            raise ProviderError("refused the request")

    for text in ("silent", "bad", "listen"):
        await life.memory.keep(text, "fact", None)
    life.letters.refuse = picky
    async with life.running():
        await life.until_whole()
    assert sorted(await life.found("enlist")) == ["listen", "silent"]
    # Words find it, and a query that is refused is no fault of the model.
    assert await life.found("bad") == ["bad"]
    assert list(life.meanings.problems()) == []
    assert sorted(await life.found("enlist")) == ["listen", "silent"]
