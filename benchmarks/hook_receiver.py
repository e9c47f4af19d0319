"""Receivers of webhooks on the ports that are given, as cheap as Python allows.

They take whatever is posted, and answer `GET` with `{"healthy": true, "taken": N}`.
"""

import asyncio
import sys
from typing import cast

import uvloop

_taken = 0
_TOOK = b"HTTP/1.1 204 No Content\r\n\r\n"


class _Receiver(asyncio.Protocol):
    """One connection: a request is over when its body is."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is derived from nothing

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = 0
            if (at := head.find(b"content-length: ")) >= 0:
                length = int(head[at + 16 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        global _taken  # noqa: PLW0603  # the one number of this program
        if head.startswith(b"post"):
            _taken += 1
            self._transport.write(_TOOK)
        else:
            body = b'{"healthy": true, "taken": %d}' % _taken
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def _serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Receiver, "127.0.0.1", port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


uvloop.run(_serve([int(port) for port in sys.argv[1:]]))
