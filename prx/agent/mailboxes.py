"""What waits for its turn: in order within a session, one at a time of each, and each session in its turn."""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from prx.core.errors import UnavailableError

T = TypeVar("T")

MAX_WAITING: Final = 16
"""Of one session."""
MAX_WAITING_IN_ALL: Final = 1024


class Mailboxes(Generic[T]):
    """Bounded queues by session. A place is reserved first, so that what was promised a place has one."""

    def __init__(self) -> None:
        """Start with nothing that waits."""
        self._waiting: dict[str, deque[T]] = {}
        self._reserved: dict[str, int] = {}
        """How many wait or are about to, by session."""
        self._in_all = 0
        self._next: deque[str] = deque()
        """The sessions with something to take, the one whose turn it is first."""
        self._busy: set[str] = set()

    def __len__(self) -> int:
        """Return how many wait, or are about to."""
        return self._in_all

    def reserve(self, session: str) -> None:
        """Keep a place for what `put` brings, or `give_up` says is not coming.

        Raises:
            UnavailableError: too many wait already, of this session or of all.
        """
        reserved = self._reserved.get(session, 0)
        if reserved >= MAX_WAITING:
            raise UnavailableError(
                f"Session {session} has {reserved} messages waiting for their turn; wait for an answer first"
            )
        if self._in_all >= MAX_WAITING_IN_ALL:
            raise UnavailableError(
                f"{self._in_all} messages wait for their turn over all sessions; try again, or raise "
                "agent.max_concurrent_turns"
            )
        self._reserved[session] = reserved + 1
        self._in_all += 1

    def give_up(self, session: str) -> None:
        """Free a place that was reserved."""
        self._free(session, 1)

    def put(self, session: str, item: T) -> None:
        """Have `item` wait in the place that was reserved for it."""
        waiting = self._waiting.setdefault(session, deque())
        waiting.append(item)
        if len(waiting) == 1 and session not in self._busy:
            self._next.append(session)

    def take(self) -> T | None:
        """Return what is next, None where nothing may begin; its session is busy until it is `done`."""
        if not self._next:
            return None
        session = self._next.popleft()
        self._busy.add(session)
        waiting = self._waiting[session]
        item = waiting.popleft()
        if not waiting:
            del self._waiting[session]
        self._free(session, 1)
        return item

    def done(self, session: str) -> None:
        """Let the next one of a session have its turn, after those of the sessions that wait already."""
        self._busy.discard(session)
        if session in self._waiting:
            self._next.append(session)

    def withdraw(self, session: str, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out of a session's mailbox what is `unwanted`."""
        waiting = self._waiting.get(session)
        if waiting is None:
            return []
        taken = [item for item in waiting if unwanted(item)]
        kept = deque(item for item in waiting if not unwanted(item))
        self._free(session, len(taken))
        if kept:
            self._waiting[session] = kept
        else:
            del self._waiting[session]
            if session not in self._busy:
                self._next.remove(session)
        return taken

    def _free(self, session: str, places: int) -> None:
        left = self._reserved[session] - places
        self._in_all -= places
        if left:
            self._reserved[session] = left
        else:
            del self._reserved[session]
