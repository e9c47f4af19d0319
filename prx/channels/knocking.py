"""Knocking at a server that was lost: whether it is there again shows without logging in, so as often as one likes."""

import asyncio
import random
import ssl
from typing import Final

from prx.core.channel import Server

_ANSWER_SECS: Final = 2.0
_PAUSE_SECS: Final = 1.0


async def returned(server: Server | None) -> None:
    """Return once a server that does not answer does so again.

    Never where it answers now, so that something else is wrong, and where none is known.
    """
    if server is None or await answers(server):
        await asyncio.Event().wait()
    else:
        await _answering(server)


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


async def _answering(server: Server) -> None:
    while True:
        # Not all daemons of a fleet at the same moment.
        await asyncio.sleep(_PAUSE_SECS * random.uniform(0.5, 1.0))  # noqa: S311  # nothing depends on it
        if await answers(server):
            return


def _anybody() -> ssl.SSLContext:
    """Return a context that shakes hands with whoever is there: nothing is told, so nothing needs to be checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
