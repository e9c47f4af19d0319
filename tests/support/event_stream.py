"""A reader of Server-Sent Events on a plain socket, as quick or as slow as the test wants."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tests.support.waiting import PATIENCE_SECS


class Told(NamedTuple):
    """One event, or one comment: then `event` is empty."""

    event: str
    data: Any = None
    id: str | None = None


class EventReader:
    """One open stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def open(self, path: str, headers: Mapping[str, str]) -> None:
        lines = [
            f"GET {path} HTTP/1.0",
            "Host: localhost",
            *(f"{key}: {value}" for key, value in headers.items()),
        ]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = dict(line.split(": ", 1) for line in head[1:] if line)

    async def rest(self) -> bytes:
        """Return everything until the daemon closes the connection."""
        return await self._reader.read()

    async def next(self) -> Told:
        """Return the next event or comment.

        Raises:
            EOFError: the stream has ended.
        """
        async with asyncio.timeout(PATIENCE_SECS):
            text = (await self._reader.readuntil(b"\n\n")).decode().removesuffix("\n\n")
        if text.startswith(":"):
            return Told("")
        fields = dict(line.split(": ", 1) for line in text.split("\n"))
        assert fields.keys() <= {"id", "event", "data"}
        return Told(fields["event"], json.loads(fields["data"]), fields.get("id"))

    async def next_event(self) -> Told:
        """Return the next event, comments passed over."""
        while not (told := await self.next()).event:
            pass
        return told

    async def take(self, count: int) -> list[Told]:
        """Return the next `count` events."""
        return [await self.next_event() for _ in range(count)]


@asynccontextmanager
async def following(
    port: int, path: str, token: str, *, last_id: str | None = None, receive_bytes: int | None = None
) -> AsyncIterator[EventReader]:
    """Follow a stream for the length of the block; `receive_bytes` makes what the kernel takes in small."""
    connection = socket.socket()
    connection.setblocking(False)  # noqa: FBT003  # the standard library's own signature
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(
        sock=connection, limit=1 << 20 if receive_bytes is None else 4096
    )
    stream = EventReader(reader, writer)
    resume = {} if last_id is None else {"Last-Event-ID": last_id}
    try:
        await stream.open(path, {"Authorization": f"Bearer {token}"} | resume)
        yield stream
    finally:
        writer.transport.abort()
