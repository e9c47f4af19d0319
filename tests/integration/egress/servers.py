"""Servers on loopback that answer as a test says, down to the byte, and names that stand for what a test says."""

import asyncio
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from prx.core.egress.addresses import Address
from prx.core.egress.policy import AnyTarget, Policy
from prx.core.egress.target import Target
from prx.runtime.egress.client import EgressClient, Response

LAX = AnyTarget(allow_private=True, key="hooks.allow_private_targets")
STRICT = AnyTarget(allow_private=False, key="hooks.allow_private_targets")


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return the values of the header `name`."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A listening server and what it was sent."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Return an http URL of this server."""
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def accepting(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """Give each connection to `handle` until the block ends."""
    server = Server()
    handlers: set[asyncio.Task[None]] = set()
    # A task that is cancelled before it began closes nothing.
    writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client has gone, as some tests want it
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        writers.add(writer)
        task = asyncio.ensure_future(handled(reader, writer))
        handlers.add(task)
        task.add_done_callback(handlers.discard)

    listener = await asyncio.start_server(accept, host, port, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in handlers:
            task.cancel()
        if handlers:
            await asyncio.wait(handlers)
        left = list(writers)
        for writer in left:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in left), return_exceptions=True)


@asynccontextmanager
async def serving(
    answer: Answer, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Serve with `answer` until the block ends, one request on each connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await _read(reader)
        server.received.append(received)
        await answer(received, writer)

    async with accepting(handle, host=host, port=port, tls=tls) as server:
        yield server


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:])]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return Received(head[0], headers, await reader.readexactly(length))


def saying(raw: bytes) -> Answer:
    """Return what answers with the bytes `raw`."""

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


def ok(body: bytes = b"", *headers: str) -> Answer:
    """Return what answers 200 with `body`."""
    return saying(reply(200, body, *headers))


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return a whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str, status: int = 302) -> Answer:
    """Return what redirects to `location`."""
    return saying(reply(status, b"", f"Location: {location}"))


def by_path(**answers: Answer) -> Answer:
    """Return what answers `/name` with `answers[name]`."""

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        name = received.line.split()[1].partition("?")[0].split("/")[1]
        await answers[name](received, writer)

    return answer


async def silent(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer nothing until the client has gone."""
    await writer.wait_closed()


class Zone:
    """Names as a test sets them: each lookup takes the next of a name's answers, and the last one stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name: [list(answer) for answer in each] for name, each in answers.items()}
        self.asked: list[str] = []

    async def addresses(self, name: str) -> Sequence[Address]:
        """See `Names.addresses`."""
        self.asked.append(name)
        answers = self._answers[name.partition(".")[0]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(address) for address in answer]


async def fetch(
    client: EgressClient,
    url: str,
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    policy: Policy = LAX,
    timeout_secs: float = 10,
    max_response_bytes: int = 1024 * 1024,
) -> Response:
    """Send one request, to anything on loopback unless `policy` says otherwise."""
    return await client.request(
        method,
        Target.parse(url),
        headers=headers,
        body=body,
        policy=policy,
        timeout_secs=timeout_secs,
        max_response_bytes=max_response_bytes,
    )
