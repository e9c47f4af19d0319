"""Streams, pollables and request bodies of the host's own WASI, without a guest around them."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.plugins.calls import Call, GuestError
from prx.plugins.host.stdio import LineSplitter
from prx.plugins.host.wasi.fields import Fields
from prx.plugins.host.wasi.poll import Arrival, Pollable, Timer, wait_for
from prx.plugins.host.wasi.requests import OutgoingRequest
from prx.plugins.host.wasi.resources import Resources, resources_of
from prx.plugins.host.wasi.streams import (
    CHUNK,
    FUNCTIONS,
    InputStream,
    OutputStream,
)
from tests.support.calls import call_of

_RUN = {function.name: function.run for function in FUNCTIONS}


def guest_call(**limits: Any) -> Call:
    """Return a call whose guest can hold something."""
    call = call_of(**limits)
    instance: Any = SimpleNamespace(resources=Resources(0, lambda _line: None, lambda _line: None))
    call.instance = instance
    return call


@given(st.binary(max_size=300), st.lists(st.integers(0, 40)))
def test_an_input_stream_gives_its_bytes_in_order_and_then_is_closed(data: bytes, sizes: list[int]) -> None:
    stream, got = InputStream(data), b""
    for size in [*sizes, 10**6]:
        answer = _RUN["[method]input-stream.read"](guest_call(), stream, size)
        got += answer.get("ok", b"")
    assert got == data
    assert _RUN["[method]input-stream.blocking-read"](guest_call(), stream, 1) == {"err": "closed"}
    assert _RUN["[method]input-stream.skip"](guest_call(), stream, 1) == {"err": "closed"}
    assert stream.size == 0, "what was read is not kept"


def test_a_stream_gives_no_more_than_a_piece_at_once() -> None:
    stream = InputStream(bytes(3 * CHUNK))
    everything = str(2**64 - 1)  # as large numbers are lifted
    assert len(_RUN["[method]input-stream.read"](guest_call(), stream, everything)["ok"]) == CHUNK
    assert _RUN["[method]input-stream.skip"](guest_call(), stream, everything) == {"ok": CHUNK}


def test_splicing_moves_what_is_there() -> None:
    written: list[bytes] = []
    splice = _RUN["[method]output-stream.splice"]
    source, sink = InputStream(b"abc"), OutputStream(written.append)
    assert splice(guest_call(), sink, source, 2) == {"ok": 2}
    assert splice(guest_call(), sink, source, 9) == {"ok": 1}
    assert splice(guest_call(), sink, source, 9) == {"err": "closed"}
    assert written == [b"ab", b"c"]


def test_a_stream_whose_owner_is_done_is_closed() -> None:
    written: list[bytes] = []
    done = threading.Event()
    stream = OutputStream(written.append, lambda: not done.is_set())
    write, check = _RUN["[method]output-stream.write"], _RUN["[method]output-stream.check-write"]
    assert check(guest_call(), stream) == {"ok": CHUNK}
    assert write(guest_call(), stream, b"x") == {"ok": None}
    done.set()
    assert write(guest_call(), stream, b"y") == check(guest_call(), stream) == {"err": "closed"}
    assert written == [b"x"]


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\r", b"\n")), max_size=12))
def test_lines_do_not_depend_on_the_pieces_they_come_in(pieces: list[bytes]) -> None:
    lines: list[bytes] = []
    splitter = LineSplitter(lines.append)
    for piece in pieces:
        splitter.add(piece)
    splitter.finish()
    whole = b"".join(pieces).split(b"\n")
    assert lines == (whole if whole[-1] else whole[:-1])


def test_a_wait_is_over_when_something_comes_on_another_thread() -> None:
    call = guest_call(max_execution_secs=60)
    come = threading.Event()
    hour = Timer(time.monotonic_ns() + 3600 * 10**9)

    def bring() -> None:
        come.set()
        resources_of(call).woken.set()

    thread = threading.Timer(0, bring)
    thread.start()
    assert wait_for(call, [hour, Arrival(come.is_set)]) == [1]
    thread.join()


def test_a_wait_gives_everything_that_is_ready() -> None:
    call = guest_call()
    past, hour = Timer(0), Timer(2**64 - 1)
    assert wait_for(call, [past, hour, Pollable(), past]) == [0, 2, 3]


def test_a_wait_for_what_never_comes_ends_with_the_call() -> None:
    call = guest_call(max_execution_secs=0.05)
    with pytest.raises(GuestError) as caught:
        wait_for(call, [Arrival(lambda: False), Timer(2**64 - 1)])
    assert caught.value.code == "timeout"
    assert call.remaining_secs() == 0


@pytest.mark.parametrize(
    ("scheme", "authority", "path", "url"),
    [
        (None, "example.com", None, "https://example.com/"),
        ("http", "example.com:81", "/a?b", "http://example.com:81/a?b"),
        ({"other": "ftp"}, "example.com", "?b", "ftp://example.com?b"),
        ("https", None, "/a", "https:///a"),
    ],
)
def test_a_request_goes_where_its_parts_say(
    scheme: Any, authority: str | None, path: str | None, url: str
) -> None:
    assert OutgoingRequest(Fields(), "get", scheme, authority, path).url == url
