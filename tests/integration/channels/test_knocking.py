"""Knocking at a server that was lost: its return is noticed, and one that is there is left alone."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prx.channels.knocking import Door, answers
from prx.core.channel import Server
from tests.support.certificates import certificate
from tests.support.waiting import eventually

__all__ = ["certificate"]

HELLO = b"hello\n"


class Host:
    """A server that says `words` to `HELLO`, and counts who came."""

    def __init__(self, words: bytes = b"go away\n") -> None:
        self.visits = 0
        self.visited = asyncio.Event()
        self._words = words
        self._visitors: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        async with await asyncio.start_server(self._meet, "127.0.0.1", port, ssl=context):
            yield
        await asyncio.gather(*self._visitors)

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        self._visitors.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readline() == HELLO:
                writer.write(self._words)
                await writer.drain()
            self.visited.set()
            await reader.read()
        except ConnectionError:
            pass  # whoever knocks does not say goodbye
        finally:
            writer.close()


def door_of(port: int) -> Door:
    door = Door()
    door.server = Server("127.0.0.1", port, hello=HELLO)
    return door


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


async def test_a_server_that_speaks_is_there_whatever_it_says(port: int) -> None:
    async with Host().listening(port):
        assert await answers(Server("127.0.0.1", port, hello=HELLO))


async def test_nobody_is_there_where_nothing_listens(port: int) -> None:
    assert not await answers(Server("127.0.0.1", port))


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".example"])
async def test_nobody_is_there_where_the_name_has_no_address(host: str) -> None:
    assert not await answers(Server(host, 1))


async def test_a_server_that_takes_the_connection_and_says_nothing_is_not_there(port: int) -> None:
    async with Host(words=b"").listening(port):
        assert not await answers(Server("127.0.0.1", port, hello=HELLO))


async def test_a_certificate_of_nobody_is_a_server_all_the_same(port: int, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with Host().listening(port, context):
        assert await answers(Server("127.0.0.1", port, tls=True, hello=HELLO))


async def test_a_server_that_does_not_speak_tls_is_there(port: int) -> None:
    def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is no TLS\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", port):
        assert await answers(Server("127.0.0.1", port, tls=True))


async def test_the_return_of_a_server_is_noticed(port: int) -> None:
    dying = Host(words=b"")
    async with dying.listening(port):
        door = door_of(port)
        waiting = asyncio.create_task(door.returned())
        await dying.visited.wait()
    host = Host()
    async with host.listening(port):
        await waiting
    assert host.visits == 1


async def test_a_server_that_was_silent_in_the_pause_before_is_back_at_the_first_knock_and_then_left_alone(
    port: int,
) -> None:
    door, dying, host = door_of(port), Host(words=b""), Host()
    async with dying.listening(port):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):  # a pause that is over before the knock could be answered
                await door.returned()
    async with host.listening(port):
        await door.returned()
        waiting = asyncio.create_task(door.returned())
        await eventually(lambda: host.visits == 2)
        done, _ = await asyncio.wait({waiting}, timeout=1.5)
        waiting.cancel()
    assert (done, host.visits) == (set(), 2)


@pytest.mark.parametrize("is_known", [True, False])
async def test_where_a_server_is_there_or_not_known_there_is_no_return(port: int, is_known: bool) -> None:  # noqa: FBT001
    host = Host()
    async with host.listening(port):
        waiting = asyncio.create_task((door_of(port) if is_known else Door()).returned())
        if is_known:
            await host.visited.wait()
        # Longer than a server that was lost is let alone.
        done, _ = await asyncio.wait({waiting}, timeout=1.5)
        waiting.cancel()
    assert not done
    assert host.visits == int(is_known)
