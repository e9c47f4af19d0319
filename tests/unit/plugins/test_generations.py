"""Which versions are kept, which one is stepped back to, and what of that the store remembers."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.errors import ConflictError, NotFoundError, UnavailableError
from prx.core.tool import CallTotals, ToolFailure
from prx.plugins.blobs import Blobs
from prx.plugins.errors import LoadError
from prx.plugins.forgetting import forget
from prx.plugins.gates import verdict
from prx.plugins.generations import Generations
from prx.plugins.sources import Contents
from prx.runtime.store import Store
from tests.support.processes import names_in

LAST = ToolFailure("trap", "it trapped")


def contents(version: int, signature: bytes | None = None) -> Contents:
    """Return version `version` of the plugin `weather`, without a manifest."""
    digest = hashlib.sha256(f"component {version}".encode()).hexdigest()
    return Contents("weather", "0.0.0", None, digest, signature=signature)


def identity(version: int) -> str:
    return contents(version).identity


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "store.db")
    yield store
    await store.aclose()


async def generations_of(store: Store, directory: Path, most: int = 3) -> Generations:
    generations = Generations(store, Blobs(directory), lambda: most)
    await generations.load()
    return generations


async def run(generations: Generations, version: int) -> int:
    """Load a version from the directory, as a load does, and return its number."""
    with generations.copying() as copy:
        await copy.take(contents(version).digest, f"component {version}".encode())
        await copy.written()
        kept = generations.loaded("weather", contents(version), identity(version))
    await generations.save()
    return kept.number


def step_back(generations: Generations, found: int, number: int | None = None, reason: str = "bad") -> None:
    goal = generations.chosen("weather", number, None)
    generations.rolled_back("weather", goal, identity(found), reason, automatic=True)


def states(generations: Generations) -> list[tuple[int, str]]:
    return [(kept.number, kept.state) for kept in generations.of("weather")]


async def test_numbers_go_up_over_restarts_and_the_same_content_keeps_its_own(
    store: Store, tmp_path: Path
) -> None:
    generations = await generations_of(store, tmp_path)
    assert [await run(generations, version) for version in (1, 2, 2, 1, 2)] == [1, 2, 2, 1, 2]
    generations = await generations_of(store, tmp_path)
    assert [await run(generations, version) for version in (2, 3, 2)] == [2, 3, 2]
    assert states(generations) == [(3, "replaced"), (2, "live"), (1, "replaced")]


async def test_only_so_many_are_kept_the_ones_that_ran_last(store: Store, tmp_path: Path) -> None:
    generations = await generations_of(store, tmp_path, most=2)
    for version in (1, 2, 1, 3):
        await run(generations, version)
    assert states(generations) == [(3, "live"), (1, "replaced")]
    assert states(await generations_of(store, tmp_path, most=2)) == [(3, "live"), (1, "replaced")]


async def test_no_number_is_given_twice_even_when_the_newest_was_rolled_back_and_let_go(
    store: Store, tmp_path: Path
) -> None:
    generations = await generations_of(store, tmp_path, most=2)
    for version in (1, 2):
        await run(generations, version)
    step_back(generations, found=2)
    assert await run(generations, 3) == 3
    step_back(generations, found=3)
    assert await run(generations, 4) == 4


async def test_a_step_back_passes_over_what_the_directory_holds_until_that_changes(
    store: Store, tmp_path: Path
) -> None:
    generations = await generations_of(store, tmp_path)
    for version in (1, 2):
        await run(generations, version)
    step_back(generations, found=2)
    await generations.save()
    generations = await generations_of(store, tmp_path)
    rollback = generations.rollback("weather")
    assert rollback is not None
    assert (rollback.passed_over, rollback.left, rollback.goal) == (identity(2), 2, 1)
    assert (rollback.reason, rollback.automatic) == ("bad", True)
    generations.loaded("weather", contents(1), found=identity(2))  # what it was rolled back to runs again
    assert generations.rollback("weather") == rollback
    await run(generations, 3)
    assert generations.rollback("weather") is None
    assert (await generations_of(store, tmp_path)).rollback("weather") is None


async def test_a_second_step_back_still_passes_over_what_the_directory_holds(
    store: Store, tmp_path: Path
) -> None:
    generations = await generations_of(store, tmp_path)
    for version in (1, 2, 3):
        await run(generations, version)
    step_back(generations, found=3)
    step_back(generations, found=3)
    rollback = generations.rollback("weather")
    assert rollback is not None
    assert (rollback.passed_over, rollback.left, rollback.goal) == (identity(3), 2, 1)
    step_back(generations, found=3, number=3)
    assert generations.rollback("weather") is None


async def test_one_that_was_rolled_back_is_not_stepped_back_to_unless_it_is_named(
    store: Store, tmp_path: Path
) -> None:
    generations = await generations_of(store, tmp_path)
    for version in (1, 2):
        await run(generations, version)
    step_back(generations, found=2)
    await run(generations, 3)
    assert generations.chosen("weather", None, 3).number == 1
    assert generations.chosen("weather", 2, 3).number == 2
    with pytest.raises(ConflictError, match="is the one that runs"):
        generations.chosen("weather", 3, 3)
    with pytest.raises(NotFoundError, match="there are: 3, 2, 1"):
        generations.chosen("weather", 4, 3)
    with pytest.raises(ConflictError, match="no older generation"):
        generations.chosen("nobody", None, None)


async def test_a_version_is_on_probation_where_it_is_new_or_failed_before(
    store: Store, tmp_path: Path
) -> None:
    generations = await generations_of(store, tmp_path)

    def before() -> int | None:
        live = generations.live("weather")
        assert live is not None
        return live.before

    found = []
    for version in (1, 2, 1):
        await run(generations, version)
        found.append(before())
    assert found == [None, 1, None]
    await run(generations, 3)
    step_back(generations, found=3)
    assert before() is None
    await run(generations, 3)
    assert before() == 2


async def test_what_is_read_back_is_what_was_loaded(store: Store, tmp_path: Path) -> None:
    generations = await generations_of(store, tmp_path)
    manifest = '[plugin]\nname = "weather"\nversion = "1.2.0"\n'
    digest = hashlib.sha256(b"component").hexdigest()
    with generations.copying() as copy:
        await copy.take(digest, b"component")
        await copy.written()
        found = generations.loaded(
            "weather", Contents("weather", "1.2.0", None, digest, manifest, b"signed"), None
        )
    for _ in range(2):  # before and after it is in the store
        read, component = await generations.read("weather", found)
        assert (read.name, read.version, read.manifest_text, read.signature) == (
            "weather",
            "1.2.0",
            manifest,
            b"signed",
        )
        assert read.identity == found.identity
        assert component == b"component"
        await generations.save()
        assert not generations.unsaved


async def test_a_signature_that_changed_is_kept_with_the_same_generation(
    store: Store, tmp_path: Path
) -> None:
    generations = await generations_of(store, tmp_path)
    await run(generations, 1)
    generations.loaded("weather", contents(1, b"signed anew"), identity(1))
    await generations.save()
    live = (await generations_of(store, tmp_path)).live("weather")
    assert live is not None
    assert (live.number, live.signature) == (1, b"signed anew")


async def test_a_forgotten_plugin_leaves_nothing(store: Store, tmp_path: Path) -> None:
    generations = await generations_of(store, tmp_path)
    for version in (1, 2):
        await run(generations, version)
    step_back(generations, found=2)
    [kept, *_] = generations.of("weather")
    await forget(store, "weather", purge=False)
    generations.forget("weather")
    await generations.sweep()
    assert (states(generations), generations.rollback("weather")) == ([], None)
    assert [name for name in names_in(tmp_path) if name.endswith(".wasm")] == []
    with pytest.raises(LoadError, match="not kept any more"):
        await generations.read("weather", kept)
    generations = await generations_of(store, tmp_path)
    assert await run(generations, 7) == 1


async def test_what_the_store_cannot_take_is_written_later(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "store.db")
    generations = await generations_of(store, tmp_path)
    await store.aclose()
    generations.loaded("weather", contents(1), identity(1))
    with pytest.raises(UnavailableError):
        await generations.save()
    assert generations.unsaved


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_version_is_condemned_by_five_counted_failures_that_are_half_of_its_calls(
    good: int, traps: int, refused: int
) -> None:
    totals = CallTotals(calls=good + traps + refused, errors_by_code={"trap": traps, "tool_error": refused})
    condemned = verdict(totals, LAST)
    assert (condemned is not None) is (traps >= 5 and traps >= good + refused)
    if condemned is not None:
        assert condemned == f"{traps} of its first {totals.calls} calls failed, the last one: it trapped"
