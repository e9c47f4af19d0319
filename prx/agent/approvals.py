"""Calls of tools that wait for somebody to allow them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from prx.agent.feed import Feed
from prx.config.schema import AgentConfig
from prx.core.errors import NotFoundError
from prx.core.ids import iso_utc, new_id, now_utc
from prx.core.message import Approval, Failure
from prx.core.provider import ToolRequest
from prx.runtime.bus import Bus

_TOPIC: Final = "prx.session.approval"


@dataclass(slots=True)
class _Open:
    approval: Approval
    decision: "asyncio.Future[Failure | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Approvals:
    """Asks for each call that `agent.approval` matches; what nobody decides in time is denied."""

    def __init__(self, config: Callable[[], AgentConfig], bus: Bus) -> None:
        """Start with nothing to decide; `bus` hears of what there is."""
        self._config = config
        self._bus = bus
        self._open: dict[str, _Open] = {}

    def open(self, session_id: str) -> Sequence[Approval]:
        """Return what is to be decided in a session, the oldest first."""
        return [each.approval for each in self._open.values() if each.approval.session_id == session_id]

    def decide(self, session_id: str, approval_id: str, *, approve: bool, reason: str | None = None) -> None:
        """Allow a call or deny it; the model is told the `reason`.

        Raises:
            NotFoundError: there is nothing to decide under this id in this session, perhaps any more.
        """
        found = self._open.get(approval_id)
        if found is None or found.approval.session_id != session_id or found.decision.done():
            raise NotFoundError(
                f"Approval {approval_id} not found in session {session_id}: it may be decided, or its time over"
            )
        found.decision.set_result(None if approve else _denied(reason or "it was not allowed"))

    def has_to_ask(self, tool: str) -> bool:
        """Tell whether calls of a tool wait until they are allowed."""
        return any(fnmatchcase(tool, pattern) for pattern in self._config().approval)

    async def ask(self, session_id: str, request: ToolRequest, feed: Feed) -> Failure | None:
        """Return once a call may run, with the reason where it must not."""
        secs = self._config().approval_timeout_secs
        approval = Approval(
            id=new_id("appr"),
            session_id=session_id,
            call=request,
            expires_at=_in(secs),
        )
        asked = self._open[approval.id] = _Open(approval)
        feed.tell("approval", approval)
        self._bus.publish(_TOPIC, _facts(approval))
        try:
            async with asyncio.timeout(secs):
                return await asked.decision
        except TimeoutError:
            return _denied(f"nobody allowed it within {secs} s")
        finally:
            del self._open[approval.id]


def _denied(reason: str) -> Failure:
    return Failure("denied", f"The call was not run: {reason}")


def _in(secs: float) -> datetime:
    return now_utc() + timedelta(seconds=secs)


def _facts(approval: Approval) -> dict[str, str]:
    return {
        "id": approval.id,
        "session_id": approval.session_id,
        "tool": approval.call.name,
        "expires_at": iso_utc(approval.expires_at),
    }
