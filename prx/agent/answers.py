"""Keeps what came of turns: each answer, with everything that counts with it, in one transaction."""

import sqlite3
from datetime import datetime
from typing import Final

from prx.agent import message_table, round_table, session_table
from prx.agent.budgets import Budgets
from prx.agent.draft import Draft
from prx.agent.message_table import Accepted
from prx.agent.outcomes import INTERRUPTED, facts_of, state_of
from prx.agent.session_table import Located
from prx.agent.sessions import Sessions
from prx.core.message import Answer, Failure
from prx.core.outbox import Outbox
from prx.runtime.bus import Bus
from prx.runtime.store import Store

MESSAGE: Final = "prx.session.message"
"""The topic of what is said in sessions."""


class Answers:
    """Puts answers on disk, and tells of them."""

    def __init__(self, sessions: Sessions, budgets: Budgets, bus: Bus, outbox: Outbox) -> None:
        """Count what answers took in `sessions` and `budgets`."""
        self._sessions = sessions
        self._budgets = budgets
        self._bus = bus
        self._outbox = outbox

    async def keep(self, taken: Accepted, draft: Draft, failure: Failure | None) -> Answer:
        """Make an answer of what has come of a turn; it is on disk when this returns.

        Raises:
            UnavailableError: the store cannot write.
        """
        answer = draft.answer_to(taken.message, failure)

        def job(db: sqlite3.Connection, session: Located, _now: datetime) -> None:
            self._write(db, session, taken.number, draft, answer)

        await self._sessions.act(taken.message.session_id, job, even_ended=True)
        self._bus.publish(MESSAGE, facts_of(taken.session, answer))
        return answer

    async def interrupt(self, store: Store) -> None:
        """Have the messages that the last life left without an answer count as failed."""
        while await store.run(self._interrupt) == session_table.STEP:
            pass

    def _interrupt(self, db: sqlite3.Connection) -> int:
        """Do a step of that; return how many messages it had."""
        found = message_table.unanswered(db, self._sessions.limits())
        for number, message, session in found:
            draft = Draft.restored(*round_table.kept(db, number))
            self._write(db, session, number, draft, draft.answer_to(message, INTERRUPTED))
        return len(found)

    def _write(
        self, db: sqlite3.Connection, session: Located, number: int, draft: Draft, answer: Answer
    ) -> None:
        """Put an answer beside the message `number`. Runs in the store's thread."""
        state = state_of(draft, answer.error)
        message_table.settle(db, session.number, number, draft.content, answer, state)
        session_table.count_turn(db, session.number, answer.usage, answer.cost_usd)
        if draft.summary is not None:
            message_table.summarize(db, session.number, draft.summary)
        self._budgets.keep(db, answer.usage, answer.cost_usd)
        self._outbox.put(db, "message.sent", facts_of(session, answer))
