"""Turns of the event loop, with connections that become readable in between."""

import asyncio
import socket

import pytest

from prx.api.turn import Shared, Turn


async def test_only_the_first_who_asks_begins_a_turn() -> None:
    turn = Turn()
    assert [turn.begins() for _ in range(3)] == [True, False, False]
    await asyncio.sleep(0)
    assert [turn.begins() for _ in range(3)] == [True, False, False]


async def test_whoever_acts_on_what_was_read_after_a_turn_began_finds_a_new_one() -> None:
    """Every reader asks in a task of its own, some steps after its bytes came, as handlers of requests do."""
    turn, loop = Turn(), asyncio.get_running_loop()
    looks: list[int] = []
    wrong: list[str] = []
    sent = 0

    async def read(reader: asyncio.StreamReader, steps: int) -> None:
        while data := await reader.readline():
            for _ in range(steps):
                await asyncio.sleep(0)
            if turn.begins():
                looks.append(sent)
            if looks[-1] < int(data):
                wrong.append(f"line {data!r} was sent after the last look")

    pairs = [socket.socketpair() for _ in range(8)]
    readers = [(await asyncio.open_connection(sock=ours)) for ours, _ in pairs]
    async with asyncio.TaskGroup() as group:
        for number, (reader, _) in enumerate(readers):
            group.create_task(read(reader, steps=number % 4))
        for number in range(400):
            sent = number
            await loop.sock_sendall(_nonblocking(pairs[number % 8][1]), b"%d\n" % number)
            if number % 3 == 0:
                await asyncio.sleep(0)
        for _, theirs in pairs:
            theirs.close()
    for _, writer in readers:
        writer.close()
    assert not wrong
    assert len(looks) < 400, "some came in the same turn"


async def test_what_is_shared_is_made_once_in_a_turn_and_anew_in_the_next() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    shared = Shared(make)
    assert [shared.get() for _ in range(3)] == [0, 0, 0]
    await asyncio.sleep(0)
    assert [shared.get() for _ in range(3)] == [1, 1, 1]


async def test_what_could_not_be_made_is_never_taken_from_an_earlier_turn() -> None:
    fails = False

    def make() -> str:
        if fails:
            raise OSError("no memory to tell of")
        return "made"

    shared = Shared(make)
    assert shared.get() == "made"
    await asyncio.sleep(0)
    fails = True
    for _ in range(2):
        with pytest.raises(OSError, match="no memory"):
            shared.get()
    fails = False
    assert shared.get() == "made"


def _nonblocking(connection: socket.socket) -> socket.socket:
    connection.setblocking(False)  # noqa: FBT003  # the standard library's own signature
    return connection
