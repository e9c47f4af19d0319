"""Asking again where that may help: before the first piece of an answer, a few times, after growing pauses."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from prx.core.provider import ChatAnswer, ProviderUnavailableError
from prx.runtime.backoff import Backoff
from prx.runtime.logging import get_logger

Answer = AsyncGenerator[str | ChatAnswer, None]

_FIRST_PAUSE_SECS: Final = 0.5
_MOST_PAUSE_SECS: Final = 8.0

_log = get_logger("agent::providers")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and by which clock."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random

    async def of(
        self, ask: Callable[[], Answer], *, most: int, begins_by: float, patience_secs: float
    ) -> Answer:
        """Yield what `ask` yields; of an answer that failed before its first piece, what a later one yields.

        Args:
            ask: makes one request.
            most: how many requests are made beside the first.
            begins_by: after which time of the event loop's clock none is made any more.
            patience_secs: the longest pause; who asks for a longer one is not asked again.

        Raises:
            ProviderError: as the last request.
        """
        backoff = Backoff(_FIRST_PAUSE_SECS, _MOST_PAUSE_SECS, chance=self.chance)
        left = most
        while True:
            has_begun = False
            try:
                async with aclosing(ask()) as answer:
                    async for piece in answer:
                        has_begun = True
                        yield piece
            except ProviderUnavailableError as error:
                pause = max(backoff.pause_secs(), error.retry_after_secs or 0.0)
                is_too_late = asyncio.get_running_loop().time() + pause >= begins_by
                if has_begun or left == 0 or pause > patience_secs or is_too_late:
                    raise
                _log.info("a model is asked again", pause_secs=round(pause, 2), reason=error.message)
            else:
                return
            left -= 1
            await self.sleep(pause)
