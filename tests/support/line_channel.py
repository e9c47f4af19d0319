"""A chat platform as small as one can be, on a real socket, and the adapter that talks to it.

A client says `HELLO <token>` and hears `OK` or `BAD`; from then on each `PING` is answered with `PONG`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from prx.channels.adapters import Connect
from prx.config.integrations import ChannelConfig
from prx.core.errors import PermanentError, UnavailableError

TOKEN = "right"  # noqa: S105  # the only one that there is


class LinePlatform:
    """The server. A test closes its connections, holds back its answers, or counts who came."""

    def __init__(self) -> None:
        self.port = 0
        self.logins = 0
        self.answers = asyncio.Event()
        """Cleared, nobody is answered."""
        self.answers.set()
        self._clients: set[asyncio.StreamWriter] = set()

    @property
    def connected(self) -> int:
        return len(self._clients)

    def drop_all(self) -> None:
        for writer in self._clients:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                await self.answers.wait()
                if line.startswith(b"HELLO"):
                    self.logins += 1
                    writer.write(b"OK\n" if line.split()[1].decode() == TOKEN else b"BAD\n")
                else:
                    writer.write(b"PONG\n")
        except ConnectionError:
            pass
        finally:
            self._clients.discard(writer)
            writer.close()


@asynccontextmanager
async def line_platform() -> AsyncIterator[LinePlatform]:
    """Serve for the length of the block, on a port of its own."""
    platform = LinePlatform()
    server = await asyncio.start_server(platform.serve, "127.0.0.1", 0)
    platform.port = server.sockets[0].getsockname()[1]
    try:
        yield platform
    finally:
        server.close()
        platform.answers.set()
        platform.drop_all()
        await server.wait_closed()


class LineAdapter:
    """See `ChannelAdapter`."""

    def __init__(self, config: ChannelConfig, platform: LinePlatform) -> None:
        extra: dict[str, Any] = config.__pydantic_extra__ or {}
        self._token: str = extra["token"].get_secret_value()
        self._platform = platform
        self._writer: asyncio.StreamWriter | None = None
        self._pong: asyncio.Future[None] | None = None

    async def run(self, connected: Callable[[], None]) -> None:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._platform.port)
        try:
            self._writer.write(f"HELLO {self._token}\n".encode())
            if await reader.readline() != b"OK\n":
                raise PermanentError("Invalid bot token")
            connected()
            while await reader.readline():
                if self._pong is not None:
                    self._pong.set_result(None)
            raise UnavailableError("the platform closed the connection")
        except ConnectionError as error:
            raise UnavailableError("the platform closed the connection") from error
        finally:
            self._writer.close()

    async def probe(self) -> float:
        assert self._writer is not None
        loop = asyncio.get_running_loop()
        self._pong = loop.create_future()
        began = loop.time()
        self._writer.write(b"PING\n")
        await self._pong
        self._pong = None
        return loop.time() - began


def connecting_to(platform: LinePlatform) -> Connect:
    """Return what makes adapters for channels of `platform`."""
    return lambda _name, config: LineAdapter(config, platform)
