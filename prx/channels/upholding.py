"""What adapters with a WebSocket share: signs of life, connections that the platform wants moved, and what it says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

from prx.channels.http import json_of
from prx.core.errors import UnavailableError

# A connection that is to be moved so soon after it began is not worth another one at once.
_LEAST_LIFE_SECS: Final = 10.0


async def hold_in_turn(hold: Callable[[], Awaitable[None]], platform: str) -> NoReturn:
    """Hold one connection after the other: `hold` returns when the platform asks for another, and raises when it ends.

    Raises:
        UnavailableError: the platform asks too often.
    """
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await hold()
        if loop.time() - began < _LEAST_LIFE_SECS:
            raise UnavailableError(f"{platform} wants another connection")


@asynccontextmanager
async def beating(beat: Callable[[], Awaitable[None]], every_secs: float) -> AsyncIterator[None]:
    """Have `beat` send a sign of life again and again for the length of the block. That it is answered is progress."""

    async def beat_for_ever() -> None:
        while True:
            await asyncio.sleep(every_secs)
            await beat()

    # Should it fail, the connection is over, which shows where its messages are heard.
    heart = asyncio.create_task(beat_for_ever())
    try:
        yield
    finally:
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)


def object_of(text: str, platform: str) -> dict[str, Any]:
    """Return what a platform said.

    Raises:
        UnavailableError: it was no JSON object, so that it is something else that speaks there.
    """
    said = json_of(text)
    if not isinstance(said, dict):
        raise UnavailableError(f"what {platform} says cannot be understood")
    return said
