"""Readers of the log's stream, every second one stalled, until stdin ends. Takes port, token and how many."""

import asyncio
import socket
import sys

_RECEIVE_BYTES = 4096
_HEADERS = "Host: localhost\r\nAuthorization: Bearer {}\r\n\r\n"


async def main(port: int, token: str, count: int) -> None:
    """Connect all of them, say so, read until stdin ends, and tell how many lines came."""
    lines = 0
    tasks = []

    async def read(reader: asyncio.StreamReader) -> None:
        nonlocal lines
        while data := await reader.read(1 << 16):
            lines += data.count(b"event: log")

    for number in range(count):
        stalled = number % 2 == 0
        connection = socket.socket()
        if stalled:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        connection.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=_RECEIVE_BYTES)
        writer.write(f"GET /api/v1/logs/stream?level=debug HTTP/1.1\r\n{_HEADERS.format(token)}".encode())
        await reader.readuntil(b":\n\n")
        tasks.append(asyncio.create_task(asyncio.sleep(3600, writer) if stalled else read(reader)))
        tasks[-1].add_done_callback(lambda _, kept=writer: kept.close())
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(f"The others got {lines / (count - count // 2):.0f} lines each in the last window.")
    for task in tasks:
        task.cancel()


asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
