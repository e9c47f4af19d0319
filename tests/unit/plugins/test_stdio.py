"""Guests' stdout and stderr: every line arrives, none is too long, and a flood keeps nobody else waiting."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.plugins.host.stdio import Pipe, StdioReader
from prx.plugins.instance import Instance
from tests.components.corpus import component
from tests.support.calls import call_of
from tests.support.guests import guest_of
from tests.support.processes import open_descriptors
from tests.support.waiting import eventually

MAX_LINE = 8 * 1024


@pytest.fixture(scope="module")
def reader() -> Iterator[StdioReader]:
    reader = StdioReader()
    yield reader
    reader.close()


class Guest:
    """The writing end of a pipe, and the lines that came out at the other."""

    def __init__(self, reader: StdioReader) -> None:
        self.lines: list[bytes] = []
        self.pipe = Pipe(reader, self.lines.append)
        self._file: BinaryIO = Path(self.pipe.path).open("wb", buffering=0)  # noqa: SIM115  # `end` closes it
        self.pipe.opened()

    def write(self, data: bytes) -> None:
        """Write as a guest does: blocking while the pipe is full."""
        while data:
            data = data[self._file.write(data) :]

    def end(self) -> list[bytes]:
        self._file.close()
        self.pipe.finish()
        self.pipe.close()
        return self.lines


async def test_lines_arrive_while_the_guest_still_runs(reader: StdioReader) -> None:
    guest = Guest(reader)
    guest.write(b"one\ntwo\nthr")
    await eventually(lambda: guest.lines == [b"one", b"two"])
    guest.write(b"ee\n")
    await eventually(lambda: guest.lines == [b"one", b"two", b"three"])
    assert guest.end() == [b"one", b"two", b"three"]


def test_a_last_line_without_its_end_is_told_when_the_guest_is_gone(reader: StdioReader) -> None:
    guest = Guest(reader)
    guest.write(b"whole\nhalf")
    assert guest.end() == [b"whole", b"half"]


def test_nothing_written_is_no_line(reader: StdioReader) -> None:
    assert Guest(reader).end() == []


@given(st.lists(st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"?")), max_size=30), st.data())
def test_lines_are_the_same_however_they_are_cut(
    reader: StdioReader, lines: list[bytes], data: st.DataObject
) -> None:
    text = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    guest = Guest(reader)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        guest.write(text[start:end])
    assert guest.end() == lines


@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1, 100_000, 3_000_000])
@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_a_line_without_end_is_cut_and_does_not_pile_up(
    size: int, ending: bytes, reader: StdioReader
) -> None:
    guest = Guest(reader)
    guest.write(b"x" * size + ending)
    guest.write(b"\nnext\n")
    lines = guest.end()
    assert lines[-1] == b"next"
    assert {len(line) for line in lines} <= set(range(MAX_LINE + 1))
    assert MAX_LINE <= sum(map(len, lines[:-1])) <= size
    assert len(guest.pipe._lines._rest) == 0


def test_a_flood_keeps_no_other_guest_waiting(reader: StdioReader) -> None:
    flooding, quiet, over = Guest(reader), Guest(reader), threading.Event()

    def flood() -> None:
        while not over.is_set():
            flooding.write(b"\n" * 65536)  # quicker to write than to read in lines

    def speak() -> None:
        for _ in range(40):  # more than a pipe holds: this only ends when somebody reads
            quiet.write(b"y" * 1023 + b"\n" + b"z" * 64 * 1023 + b"\n")

    threads = [threading.Thread(target=flood), threading.Thread(target=speak)]
    for thread in threads:
        thread.start()
    threads[1].join(30)
    waited = threads[1].is_alive()
    over.set()
    for thread in threads:
        thread.join(30)
    flooding.end()
    assert quiet.end()[0] == b"y" * 1023
    assert not waited


def test_a_store_that_is_deleted_leaves_no_pipe_for_the_reader_to_spin_on() -> None:
    """Its writing ends are gone then, and such a pipe can be read again and again."""
    with guest_of(component("stdout-flood")) as guest:
        call = call_of(max_execution_secs=60)
        call.deadline = time.monotonic() + 60
        code = guest.generation._code
        instance = Instance(code, call)
        try:
            instance._delete_store()
            assert code.stdio._selector.select(timeout=0) == []
        finally:
            instance.close()


def test_pipes_leave_no_descriptor_behind(reader: StdioReader) -> None:
    Guest(reader).end()
    before = open_descriptors()
    for _ in range(50):
        guest = Guest(reader)
        guest.write(b"line\n")
        guest.end()
    assert open_descriptors() == before


def test_a_pipe_that_no_guest_opened_is_closed_whole(reader: StdioReader) -> None:
    Pipe(reader, print).close()
    before = open_descriptors()
    Pipe(reader, print).close()
    assert open_descriptors() == before


def test_a_closed_reader_has_no_thread_and_late_pipes_can_still_close() -> None:
    before = open_descriptors()
    reader = StdioReader()
    guest = Guest(reader)
    guest.write(b"late\n")
    reader.close()
    assert guest.end() == [b"late"]
    assert open_descriptors() == before
    assert reader._thread is not None
    assert not reader._thread.is_alive()


def test_a_guest_cannot_reach_the_pipe_without_blocking(reader: StdioReader) -> None:
    """Its end is its own: reading here never blocks, writing there does, so that no line is lost."""
    guest = Guest(reader)
    assert os.get_blocking(guest._file.fileno())
    assert not os.get_blocking(guest.pipe._read)
    guest.end()
