"""Sessions: one user's conversation over one channel, as everybody sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

SessionStatus = Literal["active", "idle", "terminated"]
"""`idle` becomes `active` again with the next activity; `terminated` is final."""
EndReason = Literal["request", "timeout"]
"""Why a session was terminated: somebody asked for it, or nothing happened in it for too long."""

MAX_CHANNEL_CHARS: Final = 128
MAX_USER_ID_CHARS: Final = 256
MAX_METADATA_BYTES: Final = 16 * 1024
"""Of the metadata as JSON in UTF-8."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a list shows of a session."""

    id: str
    channel: str
    user_id: str
    status: SessionStatus
    created_at: datetime
    last_activity: datetime


class TokenUsage(NamedTuple):
    """Tokens of the language model that a session has used."""

    input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Session(SessionSummary):
    """A session in full."""

    turn_count: int
    token_usage: TokenUsage
    metadata: Mapping[str, Any]
    """A JSON object that belongs to whoever began the session."""


class SessionPage(NamedTuple):
    """A part of the sessions that match."""

    sessions: Sequence[SessionSummary]
    total: int
    """How many match, on this page or not."""
