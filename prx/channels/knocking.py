"""Knocking at a server that was lost: whether it is there again shows without logging in, so as often as one likes."""

import asyncio
import random
import ssl
from typing import Final

from prx.core.channel import Server

_ANSWER_SECS: Final = 2.0
_PAUSE_SECS: Final = 1.0


class Door:
    """That of one channel's server: whether nobody opened when it was last knocked at outlasts lives and pauses."""

    def __init__(self) -> None:
        """Know of no server."""
        self.server: Server | None = None
        """As the newest life knew it that did."""
        self._was_silent = False

    def opened(self) -> None:
        """Take note that the channel was let in."""
        self._was_silent = False

    async def returned(self) -> None:
        """Return once a server that did not answer does so again, which may be at once: a try may have been too early.

        Never where it answered before, so that something else is wrong, and where no server is known.
        """
        while self.server is not None:
            # A knock that the end of the pause cuts off was not answered, either.
            was_silent, self._was_silent = self._was_silent, True
            if await answers(self.server):
                self._was_silent = False
                if was_silent:
                    return
                break
            # Not all daemons of a fleet at the same moment.
            await asyncio.sleep(_PAUSE_SECS * random.uniform(0.5, 1.0))  # noqa: S311  # nothing depends on it
        await asyncio.Event().wait()


async def answers(server: Server) -> bool:
    """Tell whether something there speaks, whatever it says.

    So it counts where name servers hang: each knock would hold one of the loop's few threads.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECS):
            await asyncio.get_running_loop().getaddrinfo(server.host, server.port)
    except TimeoutError:
        return True
    except (OSError, ValueError):  # a name that can be none is a ValueError
        return False
    try:
        async with asyncio.timeout(_ANSWER_SECS):
            return await _speaks(server)
    except ssl.SSLError:
        return True
    except OSError:
        return False


async def _speaks(server: Server) -> bool:
    context = _anybody() if server.tls else None
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
    try:
        writer.write(server.hello)
        return bool(await reader.read(1))
    finally:
        writer.transport.abort()


def _anybody() -> ssl.SSLContext:
    """Return a context that shakes hands with whoever is there: nothing is told, so nothing needs to be checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
