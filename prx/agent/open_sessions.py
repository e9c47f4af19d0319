"""Which sessions are open, in memory: counting them asks no disk."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple


class OpenSession(NamedTuple):
    """What is remembered of a session that was not terminated."""

    id: str
    channel: str
    last_activity: datetime


class _Timeline:
    """Sessions by their last activity."""

    def __init__(self) -> None:
        self._sessions: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: OpenSession) -> None:
        insort(self._sessions, (session.last_activity, session.id))

    def remove(self, session: OpenSession) -> None:
        del self._sessions[bisect_left(self._sessions, (session.last_activity, session.id))]

    def count_after(self, moment: datetime) -> int:
        return len(self._sessions) - bisect_right(self._sessions, moment, key=lambda each: each[0])


class OpenSessions:
    """The open sessions, by the moment of their last activity."""

    def __init__(self, sessions: Iterable[OpenSession] = ()) -> None:
        """Begin with `sessions`."""
        self._by_id: dict[str, OpenSession] = {}
        self._all = _Timeline()
        self._by_channel: dict[str, _Timeline] = {}
        for session in sessions:
            self.add(session)

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._all)

    def add(self, session: OpenSession) -> None:
        """Remember a session that is not known yet."""
        self._by_id[session.id] = session
        self._all.add(session)
        self._by_channel.setdefault(session.channel, _Timeline()).add(session)

    def discard(self, session_id: str) -> None:
        """Forget a session, if it is known."""
        session = self._by_id.pop(session_id, None)
        if session is None:
            return
        self._all.remove(session)
        channel = self._by_channel[session.channel]
        channel.remove(session)
        if not channel:
            del self._by_channel[session.channel]

    def touch(self, session_id: str, moment: datetime) -> None:
        """Note activity in a session, if it is known and that is news."""
        session = self._by_id.get(session_id)
        if session is not None and moment > session.last_activity:
            self.discard(session_id)
            self.add(session._replace(last_activity=moment))

    def count_after(self, moment: datetime) -> int:
        """Return how many had their last activity after `moment`."""
        return self._all.count_after(moment)

    def count_by_channel_after(self, moment: datetime) -> dict[str, int]:
        """Return the same for each channel; those with none are left out."""
        counts = {name: channel.count_after(moment) for name, channel in self._by_channel.items()}
        return {name: count for name, count in counts.items() if count}
