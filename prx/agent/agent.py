"""The agent: takes messages, has each answered in its turn, and keeps both. Also the unit that owns the turns."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

from prx.agent import message_table
from prx.agent.answers import MESSAGE, Answers
from prx.agent.draft import Draft, Inquiry
from prx.agent.journal import Journal
from prx.agent.mailboxes import Mailboxes
from prx.agent.message_table import Accepted, key_is_taken
from prx.agent.outcomes import (
    CANCELLED,
    INTERRUPTED,
    SESSION_ENDED,
    facts_of,
    failure_of,
    stopping,
)
from prx.agent.pending import Pending
from prx.agent.session_table import Located
from prx.agent.sessions import Sessions
from prx.agent.turn import Turns
from prx.config.schema import Config
from prx.core.errors import ConflictError, PrxError
from prx.core.ids import new_id, now_utc
from prx.core.message import Failure, Message, MessagePage
from prx.core.metric import Metric, gauge
from prx.core.outbox import Outbox
from prx.runtime.bus import Bus
from prx.runtime.changes import Changes
from prx.runtime.logging import get_logger
from prx.runtime.store import Store
from prx.runtime.tasks import Tasks

_log = get_logger("agent")


class Agent:
    """Turns of all sessions: one at a time in each, in the order of its messages, and as many at once as may be.

    A turn belongs to this unit, whoever waits for it: a client that leaves does not end it.
    """

    name = "agent.turns"

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        turns: Turns,
        bus: Bus,
        outbox: Outbox,
        config: Callable[[], Config],
    ) -> None:
        """Use `open`: messages of an earlier life may still be open."""
        self._store = store
        self._sessions = sessions
        self._turns = turns
        self.approvals = turns.approvals
        self.budgets = turns.budgets
        self._bus = bus
        self._outbox = outbox
        self._answers = Answers(sessions, turns.budgets, bus, outbox)
        self._config = config
        self._mailboxes: Mailboxes[Pending] = Mailboxes()
        self._by_key: dict[tuple[str, str], Pending] = {}
        self._taking: set[Pending] = set()
        self._running: dict[asyncio.Task[None], Pending] = {}
        self._changes = Changes()
        self._tasks = Tasks(_log, lambda: None)
        self._outcomes: Counter[str] = Counter()
        self._draining = False
        sessions.tell_of_ends(self._end)

    @classmethod
    async def open(
        cls,
        store: Store,
        sessions: Sessions,
        turns: Turns,
        bus: Bus,
        outbox: Outbox,
        config: Callable[[], Config],
    ) -> Self:
        """Begin with what is in `store`; messages that the last life left without an answer have failed."""
        agent = cls(store, sessions, turns, bus, outbox, config)
        await agent._answers.interrupt(store)
        await store.run(turns.budgets.restore)
        return agent

    async def post(
        self, session_id: str, content: str, *, key: str | None = None, request_id: str | None = None
    ) -> Pending:
        """Take a user's message, which is on disk when this returns; what is returned tells of its turn.

        With a `key`, sending it again joins the turn that it has, returns the answer that it got, or tries again what
        failed: the message is there once.

        Raises:
            NotFoundError: there is no such session.
            ConflictError: the session is terminated, has had its turns or used its budget, or the key is another
                message's.
            UnavailableError: too many messages wait, the day's budget is used, the daemon is stopping, or the store
                cannot write.
        """
        if self._draining:
            raise stopping()
        pending = None if key is None else self._by_key.get((session_id, key))
        if pending is None:
            message = Message(id=new_id("msg"), session_id=session_id, content=content, created_at=now_utc())
            pending = Pending(message, request_id, key)
            if key is not None:
                self._by_key[session_id, key] = pending
            self._do(pending, self._take(pending))
        elif pending.sent != content:
            raise key_is_taken()
        await pending.accepted()
        return pending

    async def transcript(self, session_id: str, *, limit: int = 50, offset: int = 0) -> MessagePage:
        """Return messages of a session, the oldest first.

        Raises:
            NotFoundError: there is no such session.
            UnavailableError: the store cannot be read.
        """
        return await self._sessions.look(
            session_id, lambda db, session: message_table.page(db, session, limit=limit, offset=offset)
        )

    def cancel(self, session_id: str, message_id: str | None = None, why: Failure = CANCELLED) -> bool:
        """Cancel the turn of a message, or all of the session's, those that wait too; tell whether there was one."""

        def meant(pending: Pending) -> bool:
            return pending.message.session_id == session_id and message_id in (None, pending.message.id)

        # One that is being taken while its session ends is not in the mailbox yet.
        running = [pending for pending in (*self._running.values(), *self._taking) if meant(pending)]
        for pending in running:
            pending.cancel(why)
        waiting = self._mailboxes.withdraw(session_id, meant)
        for pending in waiting:
            self._do(pending, self._settle(pending, Draft(), why))
        return bool(running or waiting)

    def reconfigured(self) -> None:
        """Act on changed limits."""
        self._changes.mark()

    def metrics(self) -> Sequence[Metric]:
        """Return how turns are; see `MetricSource`."""
        ended = [((outcome,), float(count)) for outcome, count in sorted(self._outcomes.items())]
        return [
            gauge("prx_turns_running", "Turns that go on", len(self._running)),
            gauge("prx_messages_waiting", "Messages that wait for their turn", len(self._mailboxes)),
            Metric("prx_turns", "counter", "Turns that ended", ("outcome",), ended),
        ]

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        started()
        loop = asyncio.get_running_loop()
        due = loop.time() + self._patience_secs()
        try:
            while True:
                number = self._changes.number
                self._begin_turns()
                due = min(due, loop.time() + self._patience_secs())
                try:
                    async with asyncio.timeout_at(due):
                        await self._changes.after(number)
                except TimeoutError:
                    await self._keep_open()
                    due = loop.time() + self._patience_secs()
        finally:
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)

    async def drain(self, within_secs: float) -> None:
        """Take no messages any more, and let the turns end that there are."""
        self._draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(within_secs):
                while self._running or len(self._mailboxes):
                    await self._changes.after(self._changes.number)

    async def aclose(self) -> None:
        """Let what was said be written."""
        await self._tasks.aclose()

    async def _take(self, pending: Pending) -> None:
        """Have a message on disk, then in its session's mailbox."""
        session_id = pending.message.session_id

        def job(db: sqlite3.Connection, session: Located, _now: datetime) -> Accepted:
            accepted = message_table.accept(db, session, pending.message, pending.key, self._check_may_begin)
            if accepted.is_new:
                self._outbox.put(db, "message.received", facts_of(session, accepted.message))
            return accepted

        self._taking.add(pending)
        try:
            self._mailboxes.reserve(session_id)
            try:
                accepted = await self._sessions.act(session_id, job, even_ended=True)
            except BaseException:
                self._mailboxes.give_up(session_id)
                raise
        except (PrxError, asyncio.CancelledError) as error:
            self._forget(pending)
            pending.refuse(error if isinstance(error, PrxError) else stopping())
            return
        finally:
            self._taking.discard(pending)
        pending.take(accepted)
        if accepted.answer is not None:
            self._mailboxes.give_up(session_id)
            self._forget(pending)
            return
        self._mailboxes.put(session_id, pending)
        self._changes.mark()
        if accepted.is_new:
            self._bus.publish(MESSAGE, facts_of(accepted.session, accepted.message))

    def _check_may_begin(self, session: Located) -> None:
        """Refuse a turn in a session that has had its turns, or used what it may.

        Raises:
            ConflictError, UnavailableError: it may not begin; says why.
        """
        most = self._config().agent.max_turns
        if session.turns >= most:
            raise ConflictError(
                f"Session {session.id} has had its {most} turns: begin another, or raise agent.max_turns"
            )
        self.budgets.check_session(session.id, session.spent)
        self.budgets.check_day()

    def _begin_turns(self) -> None:
        most = self._config().agent.max_concurrent_turns
        while len(self._running) < most and (pending := self._mailboxes.take()) is not None:
            task = asyncio.create_task(self._serve(pending), name=f"turn {pending.message.id}")
            self._running[task] = pending
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        pending = self._running.pop(task)
        self._mailboxes.done(pending.message.session_id)
        self._changes.mark()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a turn ended without a trace", message_id=pending.message.id, exc_info=error)
            self._lose(pending, error)

    def _do(self, pending: Pending, work: Coroutine[Any, Any, None]) -> None:
        """Do a part of what becomes of a message; should that break, whoever waits for it hears of it."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._lose(pending, error)

        self._tasks.start(work).add_done_callback(ended)

    async def _serve(self, pending: Pending) -> None:
        """See one turn to its end, whatever that is, and keep what came of it."""
        draft = Draft()
        journal = Journal(self._store, _accepted(pending).number, draft, self._tasks.start)
        work = asyncio.create_task(self._work(pending, draft))
        pending.works(work)
        secs = self._config().agent.turn_timeout_secs
        try:
            await asyncio.wait({work}, timeout=secs)
        except asyncio.CancelledError:
            pending.cancel(INTERRUPTED)
        if not work.done():
            pending.cancel(
                Failure("timeout", f"The turn took longer than {secs} s (agent.turn_timeout_secs)")
            )
            await asyncio.wait({work})
        journal.close()
        await self._settle(pending, draft, failure_of(work, pending))

    async def _work(self, pending: Pending, draft: Draft) -> None:
        taken = _accepted(pending)
        session, past = await self._sessions.look(
            pending.message.session_id,
            lambda db, session: (session, message_table.history(db, session.number, taken.number)),
        )
        inquiry = Inquiry(
            pending.message, session.channel, session.user_id, past, session.spent, pending.request_id
        )
        await self._turns.run(inquiry, draft, pending.feed)

    async def _settle(self, pending: Pending, draft: Draft, failure: Failure | None) -> None:
        """Put the answer on disk and tell of it."""
        self._outcomes["answered" if failure is None else failure.code] += 1
        try:
            answer = await self._answers.keep(_accepted(pending), draft, failure)
        except PrxError as error:
            _log.error("an answer could not be kept", message_id=pending.message.id, reason=error.message)
            self._lose(pending, error)
        else:
            self._forget(pending)
            pending.resolve(answer)

    def _end(self, session_id: str) -> None:
        self.cancel(session_id, why=SESSION_ENDED)

    def _lose(self, pending: Pending, error: BaseException) -> None:
        self._forget(pending)
        pending.lose(error)

    def _forget(self, pending: Pending) -> None:
        if pending.key is not None:
            self._by_key.pop((pending.message.session_id, pending.key), None)

    def _patience_secs(self) -> float:
        """Return after which time a session would suffer from a turn that counts as no activity until its end."""
        config = self._config().agent
        return min(config.session_idle_secs, config.session_timeout_secs) / 3

    async def _keep_open(self) -> None:
        """Have turns that go on count as activity of their sessions."""
        for session_id in {pending.message.session_id for pending in self._running.values()}:
            with suppress(PrxError):
                await self._sessions.act(session_id, lambda *_: None)


def _accepted(pending: Pending) -> Accepted:
    """Return how a message was taken that waits for its turn, or has it."""
    assert pending.taken is not None  # noqa: S101  # only then was it put into the mailbox
    return pending.taken
