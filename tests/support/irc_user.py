"""A person on IRC."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.waiting import PATIENCE_SECS


class IrcUser:
    """Says things, and reads what is said to them or where they are."""

    def __init__(self, nick: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.nick = nick
        self._reader = reader
        self._writer = writer

    def send(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())

    def say(self, target: str, text: str) -> None:
        self.send(f"PRIVMSG {target} :{text}")

    async def read(self) -> str:
        """Return the next text that somebody says."""
        return (await self.until(" PRIVMSG ")).split(" ", 3)[3].removeprefix(":")

    async def until(self, part: str) -> str:
        """Return the next line with this in it."""
        async with asyncio.timeout(PATIENCE_SECS):
            while raw := await self._reader.readline():
                line = raw.decode().rstrip("\r\n")
                if line.startswith("PING"):
                    self.send(f"PONG {line[5:]}")
                elif part in line:
                    return line
        raise ConnectionError("the server closed the connection")


@asynccontextmanager
async def irc_user(port: int, password: str, nick: str) -> AsyncIterator[IrcUser]:
    """Be on the network for the length of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    user = IrcUser(nick, reader, writer)
    try:
        user.send(f"PASS :{password}\r\nNICK {nick}\r\nUSER person 0 * :{nick}")
        await user.until(" 376 ")
        yield user
    finally:
        writer.close()
