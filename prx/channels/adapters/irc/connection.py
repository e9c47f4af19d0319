"""One connection to an IRC server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prx.channels.adapters.irc.lines import Line, parsed, written
from prx.channels.reach import tls_context, unreachable
from prx.config.platforms.irc import IrcConfig
from prx.core.errors import UnavailableError

# Tags may have 8191 bytes, the rest of a line 512.
_MAX_LINE: Final = 16_384
_CONNECT_SECS: Final = 10.0
_CLOSE_SECS: Final = 1.0


class Connection:
    """Lines in and out; made by `connected`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over both ends."""
        self._reader = reader
        self._writer = writer

    async def read(self) -> Line | None:
        """Return the next line that the server sends, None once it closed the connection; its pings are answered here.

        Raises:
            UnavailableError: the connection broke.
        """
        try:
            while raw := await self._reader.readline():
                line = parsed(raw)
                if line is None:
                    continue
                if line.command == "PING":
                    self.write("PONG", line.argument(-1))
                return line
        except (BrokenPipeError, ConnectionResetError):
            return None
        except ValueError as error:
            raise UnavailableError("the server sent a line without an end") from error
        except OSError as error:
            raise UnavailableError(f"the connection broke: {error}") from error
        return None

    def write(self, command: str, *arguments: str) -> None:
        """Send a line."""
        self._writer.write(written(command, *arguments))


@asynccontextmanager
async def connected(config: IrcConfig) -> AsyncIterator[Connection]:
    """Hold a connection for the length of the block.

    Raises:
        UnavailableError: there is none to be had.
    """
    context = await tls_context(config.tls_ca) if config.tls else None
    try:
        async with asyncio.timeout(_CONNECT_SECS):
            reader, writer = await asyncio.open_connection(
                config.server,
                config.port,
                ssl=context,
                limit=_MAX_LINE,
                ssl_shutdown_timeout=_CLOSE_SECS if config.tls else None,
            )
    except OSError as error:
        raise unreachable(config.server, config.port, error, tls=config.tls) from error
    connection = Connection(reader, writer)
    try:
        yield connection
    finally:
        if not writer.is_closing():
            connection.write("QUIT")
        if writer.transport.get_write_buffer_size():  # who does not read it is not waited for
            writer.transport.abort()
        writer.close()
