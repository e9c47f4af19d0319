"""`prx mcp serve`: the daemon's `/mcp` over stdio, for MCP clients that start a command."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import click

from prx.cli.mcp.bridge import Bridge
from prx.cli.mcp.link import Link
from prx.cli.mcp.messages import Message, not_json, parsed

_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_DRAIN_SECS: Final = 30.0


@click.command()
def serve() -> None:
    """Speak MCP on stdin and stdout, for the running daemon.

    For clients that start a command rather than connect to http://127.0.0.1:3120/mcp. It finds the daemon and a
    token by itself, and finds it again when it was started anew. Ends with stdin.
    """
    asyncio.run(_serve())


async def _serve() -> None:
    lines = await _stdin()
    turn = asyncio.Lock()

    async def emit(message: Message) -> None:
        async with turn:
            await asyncio.to_thread(_write, json.dumps(message, ensure_ascii=False).encode() + b"\n")

    async with Link() as link:
        link.renew()
        bridge = Bridge(link, emit)
        taking = asyncio.create_task(_take_all(lines, bridge, emit))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, taking.cancel)
        try:
            await asyncio.wait({taking})
        finally:
            await bridge.aclose()
    if not taking.cancelled():
        taking.result()


async def _take_all(
    lines: asyncio.StreamReader, bridge: Bridge, emit: Callable[[Message], Awaitable[None]]
) -> None:
    """Take what the client sends until it sends no more, and give what it asked for last."""
    while line := await _line(lines):
        try:
            message = parsed(line)
        except ValueError as error:
            await emit(not_json(error))
        else:
            await bridge.take(message)
    await bridge.drained(_DRAIN_SECS)


async def _line(lines: asyncio.StreamReader) -> bytes:
    """Return the next line that has something on it, or nothing at the end."""
    while line := await lines.readline():
        if line.strip():
            return line
    return b""


async def _stdin() -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(_MAX_LINE_BYTES)
    if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
        # A file is not waited for; it is all there.
        reader.feed_data(await asyncio.to_thread(sys.stdin.buffer.read))
        reader.feed_eof()
    else:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _write(line: bytes) -> None:
    try:
        while line:
            line = line[os.write(sys.stdout.fileno(), line) :]
    except BrokenPipeError:
        pass  # nobody listens any more; stdin ends, too
