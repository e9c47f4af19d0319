"""How turns end, in the words of the store, of events and of whoever waits."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from prx.agent.draft import Draft
from prx.agent.message_table import State
from prx.agent.pending import Pending
from prx.agent.session_table import Located
from prx.core.errors import PrxError, UnavailableError
from prx.core.message import Answer, Failure, Message
from prx.runtime.logging import get_logger

INTERRUPTED: Final = Failure(
    "interrupted", "The daemon ended before the answer: send the message again, with the same Idempotency-Key"
)
CANCELLED: Final = Failure("cancelled", "The turn was cancelled")
SESSION_ENDED: Final = Failure("cancelled", "The session was ended before the answer")

_log = get_logger("agent")


def state_of(draft: Draft, failure: Failure | None) -> State:
    if failure is None:
        return "answered"
    return "failed" if draft.let_in else "blocked"


def failure_of(work: asyncio.Task[None], pending: Pending) -> Failure | None:
    if work.cancelled():
        return pending.stopped or CANCELLED
    error = work.exception()
    if error is None or isinstance(error, PrxError):
        return None if error is None else Failure(error.code, error.message)
    _log.error("a turn failed", message_id=pending.message.id, exc_info=error)
    return Failure("internal_error", f"Internal error. The daemon's log has more under {pending.message.id}")


def facts_of(session: Located, message: Message) -> Mapping[str, Any]:
    """Return what events tell of a message: not what it says, which is for those who may read sessions."""
    facts: dict[str, Any] = {
        "id": message.id,
        "session_id": session.id,
        "channel": session.channel,
        "user_id": session.user_id,
        "role": message.role,
    }
    if isinstance(message, Answer):
        facts |= {"reply_to": message.reply_to, "error": message.error and message.error.code}
    return facts


def stopping() -> UnavailableError:
    return UnavailableError("The daemon is stopping: it takes no messages any more")
