"""Sessions."""

from typing import Any

from prx.api.bodies import Answer, Moment
from prx.core.session import SessionStatus


class SessionHead(Answer):
    """What is known of every session."""

    id: str
    channel: str
    user_id: str
    status: SessionStatus
    """`idle` becomes `active` with the next activity; `terminated` is final."""
    created_at: Moment


class BegunSession(SessionHead):
    """A session that was just begun."""

    metadata: dict[str, Any]
    """What it was begun with."""


class ListedSession(SessionHead):
    """A session in a list."""

    last_activity: Moment


class SessionList(Answer):
    """A page of sessions."""

    sessions: list[ListedSession]
    total: int
    """How many match, on this page or not."""


class UsedTokens(Answer):
    """Tokens of the language model."""

    input: int
    output: int


class SessionDetail(ListedSession):
    """A session in full."""

    turn_count: int
    token_usage: UsedTokens
    metadata: dict[str, Any]
    """What it was begun with."""
