"""The sessions: kept in the store, over when their time is. Also the unit that makes the end of their time a fact."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Self, TypeVar

from prx.agent import session_table
from prx.agent.open_sessions import OpenSession, OpenSessions
from prx.agent.session_retention import Retention
from prx.agent.session_table import Ended, Limits, Located
from prx.config.schema import AgentConfig
from prx.core.errors import ConflictError, UnavailableError
from prx.core.ids import new_id, now_utc
from prx.core.metric import Metric, gauge
from prx.core.outbox import Outbox
from prx.core.session import EndReason, Session, SessionPage, SessionStatus, TokenUsage
from prx.core.unit import Problem
from prx.runtime.backoff import Backoff
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.store import Job, Store

T = TypeVar("T")
Act = Callable[[sqlite3.Connection, Located, datetime], T]

# A look is a comparison in memory.
_LOOK_SECS: Final = 1.0
# Clocks are corrected by less all the time.
_CLOCK_STEP: Final = timedelta(seconds=1)

_WHEN_FULL: Final = "end some (prx session end), or raise agent.max_open_sessions"

_log = get_logger("agent::sessions")


class Sessions:
    """Every session. Whether one is idle or over follows from its last activity, so that it is right at any moment.

    A session whose time is over is terminated for whoever looks; the unit then notes it in the store and tells of it.
    """

    name = "agent.sessions"

    def __init__(
        self,
        store: Store,
        bus: Bus,
        outbox: Outbox,
        config: Callable[[], AgentConfig],
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        """Use `open`: an object made here does not know which sessions are open."""
        self._store = store
        self._bus = bus
        self._outbox = outbox
        self._config = config
        self._clock = clock
        self._open = OpenSessions()
        self._in_doubt = False
        """Whether a change came to an unknown end, so that what is in memory may be wrong."""
        self._timeout = timedelta(seconds=config().session_timeout_secs)
        """The one that counts: a new one comes after those that are over by the old one have ended."""
        self._changes: set[asyncio.Future[Any]] = set()
        self._catching_up = asyncio.Lock()
        self._retention = Retention(store, config)
        self._full_since: datetime | None = None
        self._told_of_ends: list[Callable[[str], None]] = []

    @classmethod
    async def open(
        cls,
        store: Store,
        bus: Bus,
        outbox: Outbox,
        config: Callable[[], AgentConfig],
        clock: Callable[[], datetime] = now_utc,
    ) -> Self:
        """Find the sessions that `store` keeps; `config` is asked whenever a limit counts."""
        sessions = cls(store, bus, outbox, config, clock)
        sessions._open = OpenSessions(await store.run(session_table.read_open))
        return sessions

    @property
    def active(self) -> int:
        """How many sessions are active now. Asks no disk."""
        return self._open.count_after(self.limits().active_after) if len(self._open) else 0

    def active_by_channel(self) -> Mapping[str, int]:
        """Return how many are active now on each channel that has any. Asks no disk."""
        return self._open.count_by_channel_after(self.limits().active_after)

    async def create(self, channel: str, user_id: str, metadata: Mapping[str, Any]) -> Session:
        """Begin a session, which is on disk when this returns; `prx.core.session` bounds the arguments.

        Raises:
            UnavailableError: too many are open, or the store cannot write.
        """
        most = self._config().max_open_sessions
        if len(self._open) >= most:
            raise UnavailableError(f"No session can begin: {_full(most)}; {_WHEN_FULL}", retry_after_secs=60)
        now = self._now()
        session = Session(new_id("sess"), channel, user_id, "active", now, now, 0, TokenUsage(), metadata)
        facts = {"id": session.id, "channel": channel, "user_id": user_id}

        def job(db: sqlite3.Connection) -> None:
            session_table.insert(db, session)
            self._outbox.put(db, "session.created", facts)

        async def begin() -> None:
            await self._change(job)
            self._open.add(OpenSession(session.id, channel, now))
            self._bus.publish("prx.session.created", facts)

        await self._to_the_end(begin())
        return session

    async def act(self, session_id: str, job: Act[T], *, even_ended: bool = False) -> T:
        """Run a job for what happens in a session, and count that as activity; it is on disk when this returns.

        `job` gets the session, and the moment, to the millisecond, as of which that was looked up. In one that is
        terminated nothing happens any more; `even_ended` runs the job there too, which revives nothing.

        Raises:
            NotFoundError: there is none with this id.
            ConflictError: it is terminated.
            UnavailableError: the store cannot write.
        """
        now, limits = self._now(), self.limits()

        def acting(db: sqlite3.Connection) -> T:
            session = session_table.locate(db, session_id, limits)
            if session.status != "terminated":
                session_table.touch(db, session.number, now)
            elif not even_ended:
                raise ConflictError(f"Session {session_id} is terminated; begin another")
            return job(db, session, now)

        async def act() -> T:
            result = await self._change(acting)
            self._open.touch(session_id, now)
            return result

        return await self._to_the_end(act())

    async def look(self, session_id: str, job: Callable[[sqlite3.Connection, Located], T]) -> T:
        """Run a job that only reads what belongs to a session.

        Raises:
            NotFoundError: there is none with this id.
            UnavailableError: the store cannot be read.
        """
        limits = self.limits()
        return await self._store.run(lambda db: job(db, session_table.locate(db, session_id, limits)))

    def tell_of_ends(self, told: Callable[[str], None]) -> None:
        """Call `told` with the id of each session that is terminated; it must not block."""
        self._told_of_ends.append(told)

    async def list(
        self,
        *,
        status: SessionStatus = "active",
        channel: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> SessionPage:
        """Return the sessions of one status, of one channel where it is named, the newest first.

        Raises:
            UnavailableError: the store cannot be read.
        """
        limits = self.limits()
        return await self._store.run(
            lambda db: session_table.page(db, status, channel, limits, limit=limit, offset=offset)
        )

    async def get(self, session_id: str) -> Session:
        """Return one session.

        Raises:
            NotFoundError: there is none with this id.
            UnavailableError: the store cannot be read.
        """
        return await self._store.run(partial(session_table.find, session_id=session_id, limits=self.limits()))

    async def terminate(self, session_id: str) -> None:
        """End a session because somebody asks for it; that is on disk when this returns.

        Raises:
            NotFoundError: there is none with this id.
            ConflictError: it is terminated already.
            UnavailableError: the store cannot write.
        """
        now, limits = self._now(), self.limits()
        ending = self._end(lambda db: [session_table.end(db, session_id, now, limits)], "request")
        await self._to_the_end(ending)

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        started()
        backoff = Backoff()
        while True:
            if await self.catch_up():
                backoff.reset()
                await asyncio.sleep(_LOOK_SECS)
            else:
                await asyncio.sleep(backoff.pause_secs())

    async def catch_up(self) -> bool:
        """Note in the store what time and changed limits did; return whether the store could.

        What is over by the old limits has ended before new ones count: a terminated session never comes back.
        """
        try:
            async with self._catching_up:
                await self._bring_back()
                await self._end_overdue()
                timeout = timedelta(seconds=self._config().session_timeout_secs)
                if timeout != self._timeout:
                    self._timeout = timeout
                    await self._end_overdue()
                await self._retention.sweep(self._now())
        except UnavailableError as error:
            _log.warning("the store cannot keep yet what became of sessions", reason=error.message)
            return False
        return True

    async def aclose(self) -> None:
        """Let the changes end that are being made; no other may begin."""
        await asyncio.gather(*self._changes, return_exceptions=True)

    def problems(self) -> Iterable[Problem]:
        """Return why the daemon is degraded because of sessions."""
        most = self._config().max_open_sessions
        if len(self._open) < most:
            self._full_since = None
            return []
        self._full_since = self._full_since or self._now()
        return [Problem(self.name, f"no session can begin: {_full(most)}", self._full_since, _WHEN_FULL)]

    def metrics(self) -> Iterable[Metric]:
        """Return how many there are; see `MetricSource`."""
        return [
            gauge("prx_sessions_active", "Sessions that are active", self.active),
            gauge("prx_sessions_open", "Sessions that are active or idle", len(self._open)),
        ]

    async def _bring_back(self) -> None:
        """Have no activity lie in the future: after a clock was set back, such a session would not end for as long."""
        now = self._now()
        after = now + _CLOCK_STEP
        if not self._open.count_after(after):
            return
        while (
            await self._change(partial(session_table.bring_back, at=now, after=after)) == session_table.STEP
        ):
            pass
        _log.warning(
            "the clock was set back: sessions that were active in its future are taken as active now"
        )
        self._in_doubt = True

    async def _end_overdue(self) -> None:
        if self._in_doubt:
            self._in_doubt = False
            self._open = OpenSessions(await self._change(session_table.read_open))
        more = self._open.count_after(self.limits().over) < len(self._open)
        while more:
            job = partial(session_table.end_overdue, at=self._now(), limits=self.limits())
            more = await self._end(job, "timeout") == session_table.STEP

    async def _end(self, ending: Job[Sequence[Ended]], reason: EndReason) -> int:
        """Have `ending` terminate sessions, and tell of them; return how many."""

        def facts(ended: Ended) -> dict[str, str]:
            return {**ended._asdict(), "reason": reason}

        def job(db: sqlite3.Connection) -> Sequence[Ended]:
            all_ended = ending(db)
            for ended in all_ended:
                self._outbox.put(db, "session.terminated", facts(ended))
            return all_ended

        all_ended = await self._change(job)
        for ended in all_ended:
            self._open.discard(ended.id)
            for told in self._told_of_ends:
                told(ended.id)
            self._bus.publish("prx.session.terminated", facts(ended))
        return len(all_ended)

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` to its end, even if the caller goes: what was changed is told."""
        change = asyncio.ensure_future(work)
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        return await asyncio.shield(change)

    async def _change(self, job: Job[T]) -> T:
        """Run a job; where it stays unknown what came of it, what is in memory is read anew at the next look."""
        try:
            return await self._store.run(job)
        except (UnavailableError, asyncio.CancelledError):
            self._in_doubt = True
            raise

    def limits(self) -> Limits:
        """Return what separates active, idle and terminated sessions now."""
        now = self._now()
        return Limits(
            idle=now - timedelta(seconds=self._config().session_idle_secs), over=now - self._timeout
        )

    def _now(self) -> datetime:
        """Return the time to the millisecond, as it is stored."""
        now = self._clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _full(most: int) -> str:
    return f"{most} are open, which is all that may be"
