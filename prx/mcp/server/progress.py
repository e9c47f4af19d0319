"""What a tool tells of its progress, on its way to a client that asked for it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from anyio import BrokenResourceError, ClosedResourceError
from mcp.server.context import ServerRequestContext

from prx.core.upstream import Progress

_MAX_UNSENT: Final = 256


@asynccontextmanager
async def progress_of(context: ServerRequestContext[Any, Any]) -> AsyncIterator[Progress | None]:
    """Give a way to tell progress without waiting, or None where the client did not ask for it.

    All of it is sent before the block ends, but a client that reads slower than progress is made misses some.
    """
    if context.meta is None or context.meta.get("progress_token") is None:
        yield None
        return
    unsent: deque[tuple[float, float | None, str | None]] = deque(maxlen=_MAX_UNSENT)
    news = asyncio.Event()
    ended = False

    async def send() -> None:
        with suppress(ClosedResourceError, BrokenResourceError):  # the client has gone
            while unsent or not ended:
                await news.wait()
                news.clear()
                while unsent:
                    await context.session.report_progress(*unsent.popleft())

    def tell(progress: float, total: float | None, message: str | None) -> None:
        unsent.append((progress, total, message))
        news.set()

    sending = asyncio.create_task(send())
    try:
        yield tell
        ended = True
        news.set()
        await sending
    finally:
        sending.cancel()
