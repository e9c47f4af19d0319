"""What must outlive the process: one SQLite file, written by one thread.

Callers hand over jobs. The thread runs all that are queued in one transaction and answers after the commit:
many small writes cost one sync of the disk, and an answer means that it is on disk.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from prx.core.errors import PrxError, UnavailableError
from prx.core.ids import now_utc
from prx.core.metric import Metric, gauge
from prx.core.unit import Problem
from prx.runtime.migrations import migrate

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

_MAX_QUEUED_JOBS = 1024
_OPEN_SECS = 30.0
_ANSWER_SECS = 30.0
_LOCK_WAIT_SECS = 5.0

# What stops the whole store, by SQLite's primary result code, and what an operator can do about it.
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some disk space",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for the daemon's user",
    sqlite3.SQLITE_PERM: "make the file and its directory writable for the daemon's user",
    sqlite3.SQLITE_CANTOPEN: "check that its directory exists and is writable for the daemon's user",
    sqlite3.SQLITE_CORRUPT: "stop the daemon, then restore the file from a backup or move it away",
    sqlite3.SQLITE_NOTADB: "stop the daemon, then restore the file from a backup or move it away",
    sqlite3.SQLITE_BUSY: "end the other process that keeps it locked",
    sqlite3.SQLITE_LOCKED: "end the other process that keeps it locked",
    sqlite3.SQLITE_IOERR: "check the disk and its free space",
}
# What one job may do to all that run with it: it writes more than fits, or needs the part that is damaged.
_OF_ONE_JOB = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CORRUPT)


@dataclass(frozen=True, slots=True)
class _Queued:
    work: Job[Any]
    answer: Future[Any] = field(default_factory=Future)


class Store:
    """The SQLite file, open. `open` makes one; `aclose` ends it."""

    def __init__(self, path: Path) -> None:
        """Use `Store.open`: an object made here has no thread yet."""
        self._path = path
        self._wake = threading.Condition()
        self._queue: list[_Queued] = []
        self._closing = False
        self._opened: Future[None] = Future()
        self._ended: Future[None] = Future()
        # Nobody may cancel these two: the thread sets them whoever has stopped waiting.
        self._opened.set_running_or_notify_cancel()
        self._ended.set_running_or_notify_cancel()
        self._problem: Problem | None = None
        self._damaged = False
        """Whether a part of the file cannot be read: jobs that need others still go through."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the file at `path`, made with mode 0600 if missing, and bring its schema up to date.

        Raises:
            PrxError: it cannot be opened, is damaged, or was written by a newer PRX; says what to do.
        """
        store = cls(path)
        threading.Thread(target=store._serve, name="prx-store", daemon=True).start()
        try:
            async with asyncio.timeout(_OPEN_SECS):
                await asyncio.wrap_future(store._opened)
        except TimeoutError:
            store._refuse_more()
            raise UnavailableError(
                f"the store {path} did not open within {_OPEN_SECS:g} s: check the disk"
            ) from None
        except asyncio.CancelledError:
            store._refuse_more()
            raise
        return store

    async def run(self, job: Job[T]) -> T:
        """Run `job` in the store's thread and return its result once it is on disk.

        The job neither commits nor rolls back; what it raises undoes this job alone. A caller that stops
        waiting does not stop a job that has begun.

        Raises:
            UnavailableError: the store is closed, overloaded, or its disk refuses; the job is undone.
        """
        answer = asyncio.wrap_future(self._submit(job).answer)
        try:
            async with asyncio.timeout(_ANSWER_SECS):
                return await answer  # type: ignore[no-any-return]  # the queue holds jobs of every type
        except TimeoutError:
            if answer.done() and not answer.cancelled():
                raise
            raise self._too_slow(_ANSWER_SECS) from None

    def queue(self, job: Job[T]) -> "Future[T]":
        """Queue `job` here and now: whatever is asked for after this is on disk together with it, or later.

        Raises:
            UnavailableError: as `run`, as far as that is known already; the rest is the future's.
        """
        return self._submit(job).answer

    def run_from_thread(self, job: Job[T], timeout_secs: float) -> T:
        """Do as `run`, from a thread that is not the event loop's; blocks for at most `timeout_secs`.

        Raises:
            UnavailableError: as `run`, or no answer in time: the job is dropped unless it has begun.
        """
        answer = self._submit(job).answer
        try:
            return answer.result(timeout_secs)  # type: ignore[no-any-return]  # as in `run`
        except TimeoutError:
            if answer.done() and not answer.cancelled():
                raise
            answer.cancel()
            raise self._too_slow(timeout_secs) from None

    def problems(self) -> list[Problem]:
        """Return why the disk refuses, until a job goes through again; that the file is damaged, until the end."""
        problem = self._problem
        return [] if problem is None else [problem]

    def metrics(self) -> list[Metric]:
        """Return how the store is; see `MetricSource`."""
        return [
            gauge("prx_store_jobs_waiting", "Jobs that wait for the store's thread", len(self._queue)),
            gauge("prx_store_up", "Whether the store's file can be read and written", self._problem is None),
        ]

    async def aclose(self, timeout_secs: float = 10.0) -> None:
        """Finish the queued jobs and close the file; further jobs are refused. Safe to call again.

        Raises:
            UnavailableError: the thread still runs a job after `timeout_secs`.
        """
        self._refuse_more()
        try:
            async with asyncio.timeout(timeout_secs):
                await asyncio.wrap_future(self._ended)
        except TimeoutError:
            raise UnavailableError(
                f"the store {self._path} still runs a job after {timeout_secs:g} s"
            ) from None

    def _submit(self, job: Job[Any]) -> _Queued:
        queued = _Queued(job)
        with self._wake:
            if self._closing:
                raise UnavailableError("the store is closed: the daemon is stopping")
            if len(self._queue) >= _MAX_QUEUED_JOBS:
                raise UnavailableError(
                    f"the store is overloaded: {_MAX_QUEUED_JOBS} jobs wait already; try again"
                )
            self._queue.append(queued)
            self._wake.notify()
        return queued

    def _refuse_more(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()

    def _too_slow(self, timeout_secs: float) -> UnavailableError:
        return UnavailableError(f"the store did not answer within {timeout_secs:g} s: check the disk")

    # From here on: the store's own thread.

    def _serve(self) -> None:
        try:
            with closing(self._connect()) as connection:
                self._opened.set_result(None)
                while batch := self._next_batch():
                    self._run_batch(connection, batch)
        except BaseException as error:
            # Whoever waits must hear of it; afterwards it is this thread's end.
            self._refuse_more()
            if self._opened.done():
                raise
            self._opened.set_exception(error)
        finally:
            for queued in self._queue:
                if queued.answer.set_running_or_notify_cancel():
                    queued.answer.set_exception(UnavailableError(f"the store {self._path} has ended"))
            self._ended.set_result(None)

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.touch(mode=0o600)
            connection = sqlite3.connect(self._path, timeout=_LOCK_WAIT_SECS, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise PrxError(
                f"cannot open the store {self._path}: {error}; check that its directory is there and writable"
            ) from error
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, self._path)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise PrxError(f"cannot use the store {self._path}: {error}; {_remedy(error)}") from error
            raise
        return connection

    def _next_batch(self) -> list[_Queued]:
        """Wait for work; an empty batch means that the store is closing."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._closing)
            batch, self._queue = self._queue, []
            return batch

    def _run_batch(self, connection: sqlite3.Connection, batch: list[_Queued]) -> None:
        self._run_together(
            connection, [queued for queued in batch if queued.answer.set_running_or_notify_cancel()]
        )

    def _run_together(self, connection: sqlite3.Connection, batch: list[_Queued]) -> None:
        """Run jobs in one transaction; where one of them may be what fails it, each in its own."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            replies = [self._run_job(connection, queued) for queued in batch]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(batch) > 1 and _primary_code(error) in _OF_ONE_JOB:
                for queued in batch:
                    self._run_together(connection, [queued])
            else:
                self._fail_batch(batch, error)
            return
        if not self._damaged:
            self._problem = None
        for reply in replies:
            reply()

    def _run_job(self, connection: sqlite3.Connection, queued: _Queued) -> Callable[[], None]:
        """Run one job; what it returns gives the answer, after the commit."""
        connection.execute("SAVEPOINT job")
        try:
            result = queued.work(connection)
        except BaseException as failure:  # carried to the waiter: it is the job's, not the store's
            if isinstance(failure, sqlite3.Error) and _stops_the_store(failure):
                raise
            error = failure
        else:
            connection.execute("RELEASE job")
            return lambda: queued.answer.set_result(result)
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return lambda: queued.answer.set_exception(error)

    def _fail_batch(self, batch: list[_Queued], error: sqlite3.Error) -> None:
        action = _remedy(error)
        since = now_utc() if self._problem is None else self._problem.since
        self._damaged = self._damaged or _primary_code(error) == sqlite3.SQLITE_CORRUPT
        self._problem = Problem(
            unit="store.sqlite", reason=f"the store {self._path} failed: {error}", since=since, action=action
        )
        for queued in batch:
            # Without the path: guests read this.
            failure = UnavailableError(f"the store failed: {error}; {action}")
            failure.__cause__ = error
            queued.answer.set_exception(failure)


def _stops_the_store(error: sqlite3.Error) -> bool:
    return _primary_code(error) in _REMEDIES


def _remedy(error: sqlite3.Error) -> str:
    return _REMEDIES.get(_primary_code(error), "check the disk")


def _primary_code(error: sqlite3.Error) -> int:
    # Errors that the Python module raises by itself carry no code; the low byte is the primary one.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
