"""Places where the agent's memory is kept, whoever brings them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class StoredMemory(NamedTuple):
    """One remembered text as a backend gives it back."""

    id: str
    key: str
    content: str
    category: str
    timestamp: str
    """ISO 8601, UTC."""
    score: float | None
    """How well it fits the query; higher is better."""


class MemoryStorage(Protocol):
    """A memory backend.

    Every method raises `CallFailedError` when the backend could not, `ConflictError` while its plugin is out of
    service and `UnavailableError` when too many calls wait for it already.
    """

    @property
    def name(self) -> str:
        """What `[memory] backend` selects it by."""

    async def store(self, key: str, content: str, category: str, session_id: str | None = None) -> None:
        """Remember `content` under `key`, in place of what was there."""

    async def recall(self, query: str, limit: int, session_id: str | None = None) -> Sequence[StoredMemory]:
        """Return at most `limit` entries that fit `query`, the best first."""

    async def forget(self, key: str) -> bool:
        """Remove `key`; return whether it was there."""

    async def count(self) -> int:
        """Return how many entries there are."""

    async def healthy(self) -> bool:
        """Return whether the backend can serve now."""
