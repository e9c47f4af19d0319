"""How fast conversations are written to: as the platform wants it."""

import asyncio
from typing import Final

_MAX_KNOWN: Final = 1000

Conversation = tuple[str, str]
"""A channel's name, and its conversation."""


class Paces:
    """Before when nothing may be said to a conversation."""

    def __init__(self) -> None:
        """Start with nothing to wait for."""
        self._not_before: dict[Conversation, float] = {}

    def must_wait(self, conversation: Conversation) -> bool:
        """Tell whether nothing may be said now."""
        return self._secs_until(conversation) > 0

    async def wait(self, conversation: Conversation) -> None:
        """Return once something may be said."""
        while (secs := self._secs_until(conversation)) > 0:  # noqa: ASYNC110  # what is waited for is time
            await asyncio.sleep(secs)

    def defer(self, conversation: Conversation, secs: float) -> None:
        """Have nothing be said for so long."""
        if secs <= 0:
            return
        now = asyncio.get_running_loop().time()
        if len(self._not_before) >= _MAX_KNOWN:
            self._not_before = {key: at for key, at in self._not_before.items() if at > now}
        self._not_before[conversation] = max(now + secs, self._not_before.get(conversation, 0.0))

    def _secs_until(self, conversation: Conversation) -> float:
        return self._not_before.get(conversation, 0.0) - asyncio.get_running_loop().time()
