"""The store: what is acknowledged is kept, and what refuses says why."""

import asyncio
import contextlib
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.errors import ConflictError, PrxError, UnavailableError
from prx.runtime.migrations import MIGRATIONS
from prx.runtime.store import _MAX_QUEUED_JOBS, Store
from tests.support.examples import costly


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    store = await Store.open(path)
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path / "prx.db") as store:
        yield store


def put(key: str, value: bytes) -> Callable[[sqlite3.Connection], None]:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR REPLACE INTO plugin_kv VALUES ('p', ?, ?)", (key, value))

    return job


def everything(connection: sqlite3.Connection) -> dict[str, bytes]:
    return dict(connection.execute("SELECT key, value FROM plugin_kv"))


async def queued(store: Store, *jobs: Callable[[sqlite3.Connection], Any]) -> list[asyncio.Future[Any]]:
    """Hand `jobs` over and return once each has reached the queue."""
    callers = [asyncio.ensure_future(store.run(job)) for job in jobs]
    await asyncio.wait(callers, timeout=0)
    return callers


class Gate:
    """Holds the store's thread inside a job, so that a test decides what is queued meanwhile."""

    def __init__(self, store: Store) -> None:
        self._entered = threading.Event()
        self._release = threading.Event()
        self._task = asyncio.ensure_future(store.run(self._job))

    def _job(self, _connection: sqlite3.Connection) -> None:
        self._entered.set()
        assert self._release.wait(30)

    async def __aenter__(self) -> Self:
        assert await asyncio.to_thread(self._entered.wait, 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._release.set()
        await self._task


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path / "prx.db") as store:
        await store.run(put("a", b"1"))
    async with opened(tmp_path / "prx.db") as store:
        assert await store.run(everything) == {"a": b"1"}


async def test_the_file_is_private_and_safe_against_power_loss(store: Store, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "prx.db").stat().st_mode) == 0o600
    pragmas = ("journal_mode", "synchronous", "foreign_keys")
    values = await store.run(lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas])
    assert values == ["wal", 2, 1]


async def test_a_failing_job_is_undone_alone_and_its_error_reaches_its_caller(store: Store) -> None:
    def half(connection: sqlite3.Connection) -> None:
        put("half", b"x")(connection)
        raise ConflictError("no")

    async with Gate(store):
        jobs = await queued(store, put("a", b"1"), half, put("b", b"2"))
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), ConflictError, type(None)]
    assert await store.run(everything) == {"a": b"1", "b": b"2"}


async def test_jobs_queued_together_share_one_commit(store: Store) -> None:
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    await store.run(lambda connection: connection.set_trace_callback(count))
    async with Gate(store):
        jobs = await queued(store, *(put(str(n), b"") for n in range(100)))
    await asyncio.gather(*jobs)
    # One for the tracing job, one for the gate, one for all the rest.
    assert commits == 3


async def test_a_job_from_a_plugin_thread_is_answered(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(pool, store.run_from_thread, put("t", b"1"), 30.0)
    assert await store.run(everything) == {"t": b"1"}


async def test_a_job_that_is_still_queued_at_its_time_limit_never_runs(store: Store) -> None:
    async with Gate(store):
        with pytest.raises(UnavailableError, match=r"did not answer within 0\.01 s"):
            await asyncio.to_thread(store.run_from_thread, put("late", b"1"), 0.01)
    assert await store.run(everything) == {}


async def test_a_cancelled_caller_disturbs_nobody(store: Store) -> None:
    async with Gate(store):
        gone, kept = await queued(store, put("gone", b"1"), put("kept", b"1"))
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    await kept
    assert await store.run(everything) == {"kept": b"1"}


async def test_cancelling_the_caller_of_a_running_job_lets_it_finish(store: Store) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        entered.set()
        assert release.wait(30)
        put("slow", b"1")(connection)

    caller = asyncio.ensure_future(store.run(slow))
    assert await asyncio.to_thread(entered.wait, 30)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    release.set()
    assert await store.run(everything) == {"slow": b"1"}


async def test_a_full_queue_refuses_at_once(store: Store) -> None:
    async with Gate(store):
        jobs = await queued(store, *(put(str(n), b"") for n in range(_MAX_QUEUED_JOBS)))
        with pytest.raises(UnavailableError, match="overloaded"):
            await store.run(put("one too many", b""))
    await asyncio.gather(*jobs)
    assert "one too many" not in await store.run(everything)


async def test_a_full_disk_fails_the_batch_and_degrades_until_space_is_back(store: Store) -> None:
    pages = await store.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await store.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    async with Gate(store):
        both = await queued(store, *(put(key, bytes(1 << 20)) for key in ("a", "b")))
    for error in await asyncio.gather(*both, return_exceptions=True):
        assert isinstance(error, UnavailableError)
        assert "disk is full; free some disk space" in error.message
    (problem,) = store.problems()
    assert problem.unit == "store.sqlite"
    await store.run(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchone())
    await store.run(put("a", bytes(1 << 20)))
    assert store.problems() == []


async def test_one_value_that_does_not_fit_is_refused_alone(store: Store) -> None:
    pages = await store.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await store.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 8}").fetchone())
    async with Gate(store):
        jobs = await queued(store, put("a", b"1"), put("large", bytes(1 << 20)), put("b", b"2"))
    answers = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), UnavailableError, type(None)]
    assert await store.run(everything) == {"a": b"1", "b": b"2"}


async def test_a_damaged_page_fails_only_the_jobs_that_need_it_and_stays_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "prx.db"
    async with opened(path) as store:
        await store.run(put("a", b"1"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'plugin_grants'"
        (page,) = connection.execute(query).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    async with opened(path) as store:
        async with Gate(store):
            jobs = await queued(
                store, everything, lambda db: db.execute("SELECT * FROM plugin_grants").fetchall()
            )
        kept, failure = await asyncio.gather(*jobs, return_exceptions=True)
        assert kept == {"a": b"1"}
        assert isinstance(failure, UnavailableError)
        assert "malformed; stop the daemon, then restore the file from a backup" in failure.message
        assert str(path) not in failure.message
        await store.run(put("b", b"2"))
        assert [problem.unit for problem in store.problems()] == ["store.sqlite"]


async def test_a_closed_store_refuses_and_may_be_closed_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "prx.db") as store:
        await store.aclose()
        with pytest.raises(UnavailableError, match="closed"):
            await store.run(everything)


async def test_closing_finishes_what_is_queued(tmp_path: Path) -> None:
    async with opened(tmp_path / "prx.db") as store:
        async with Gate(store):
            jobs = await queued(store, put("a", b"1"))
            closing = asyncio.ensure_future(store.aclose())
            await asyncio.wait({closing}, timeout=0)
        await asyncio.gather(*jobs, closing)
    async with opened(tmp_path / "prx.db") as store:
        assert await store.run(everything) == {"a": b"1"}


async def test_closing_does_not_wait_longer_than_told(store: Store) -> None:
    async with Gate(store):
        with pytest.raises(UnavailableError, match=r"still runs a job after 0\.01 s"):
            await store.aclose(timeout_secs=0.01)


async def test_a_store_from_a_newer_prx_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "prx.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(PrxError, match=f"schema version {len(MIGRATIONS) + 1}.*start the newer PRX"):
        await Store.open(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


async def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "prx.db"
    path.write_bytes(b"this is no database at all, and long enough to be read as one" * 100)
    with pytest.raises(PrxError, match=r"not a database; .*restore the file from a backup"):
        await Store.open(path)


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrxError, match=r"cannot open the store .*absent.*directory"):
        await Store.open(tmp_path / "absent" / "prx.db")


async def test_a_locked_file_is_refused_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody lets go of it: the wait is only paid.
    monkeypatch.setattr("prx.runtime.store._LOCK_WAIT_SECS", 0.05)
    path = tmp_path / "prx.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PrxError, match="locked; end the other process"):
            await Store.open(path)


@costly()
@given(
    writes=st.lists(
        st.tuples(st.sampled_from("abcd"), st.binary(max_size=8), st.booleans()), min_size=1, max_size=30
    )
)
async def test_any_mix_of_good_and_bad_jobs_leaves_what_the_good_ones_wrote(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bytes, bool]]
) -> None:
    def job(key: str, value: bytes, *, good: bool) -> Callable[[sqlite3.Connection], None]:
        def run(connection: sqlite3.Connection) -> None:
            put(key, value)(connection)
            if not good:
                connection.execute("INSERT INTO plugin_kv VALUES ('p', ?, NULL)", (key,))

        return run

    path = tmp_path_factory.mktemp("store") / "prx.db"
    async with opened(path) as store:
        results = await asyncio.gather(
            *(store.run(job(key, value, good=good)) for key, value, good in writes), return_exceptions=True
        )
    assert [isinstance(result, sqlite3.IntegrityError) for result in results] == [
        not good for *_, good in writes
    ]
    async with opened(path) as store:
        assert await store.run(everything) == {key: value for key, value, good in writes if good}


async def test_what_is_queued_is_done_before_what_is_asked_for_afterwards(store: Store) -> None:
    first = store.queue(put("a", b"first"))
    await store.run(put("a", b"second"))
    assert first.result(0) is None
    assert await store.run(everything) == {"a": b"second"}
    await store.aclose()
    with pytest.raises(UnavailableError, match="is closed"):
        store.queue(put("a", b"third"))
