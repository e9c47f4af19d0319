"""Bodies: decompressed to what they were, and a bomb is stopped long before it fills the memory."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.egress.errors import EgressError, EgressTooLargeError
from prx.runtime.egress.body import BoundedBody

MIB = 1024 * 1024


def collected(coding: str, chunks: list[bytes], limit: int = MIB) -> bytes:
    body = BoundedBody(coding, limit)
    for chunk in chunks:
        body.add(chunk)
    return body.finish()


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(st.lists(st.binary(max_size=200), max_size=4), st.integers(1, 50), st.sampled_from(["gzip", "x-gzip"]))
def test_members_of_a_stream_come_out_whole_however_they_are_cut(
    members: list[bytes], size: int, coding: str
) -> None:
    stream = b"".join(map(gzip.compress, members))
    assert collected(coding, pieces(stream, size)) == b"".join(members)


@given(st.lists(st.binary(max_size=50)))
def test_a_plain_body_is_what_came(chunks: list[bytes]) -> None:
    assert collected("", chunks) == collected("identity", chunks) == b"".join(chunks)


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_body_may_fill_its_limit_and_no_more(coding: str) -> None:
    fits, exceeds = (b"x" * size for size in (1000, 1001))
    if coding:
        fits, exceeds = gzip.compress(fits), gzip.compress(exceeds)
    assert len(collected(coding, [fits], 1000)) == 1000
    with pytest.raises(EgressTooLargeError, match="larger than 1000 bytes"):
        collected(coding, [exceeds], 1000)


def test_a_bomb_ends_where_it_begins() -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    body = BoundedBody("gzip", MIB)
    tracemalloc.start()
    try:
        with pytest.raises(EgressTooLargeError):
            body.add(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def test_a_stream_of_nothing_is_bounded_by_its_own_length() -> None:
    with pytest.raises(EgressTooLargeError):
        collected("gzip", [gzip.compress(b"")] * 100, 1000)


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "gzip,br"])
def test_a_coding_that_was_not_asked_for_is_refused(coding: str) -> None:
    with pytest.raises(EgressError, match="only gzip was asked for"):
        BoundedBody(coding, MIB)


@pytest.mark.parametrize(
    "data", [b"not gzip at all", gzip.compress(b"x") + b"garbage"], ids=["from the start", "after its end"]
)
def test_what_is_no_gzip_is_an_error(data: bytes) -> None:
    with pytest.raises(EgressError, match="says that it is gzip, and is not"):
        collected("gzip", [data])


def test_a_stream_that_is_cut_off_is_an_error() -> None:
    with pytest.raises(EgressError, match="cut off"):
        collected("gzip", [gzip.compress(b"x" * 1000)[:-4]])


def test_an_answer_without_a_body_may_name_a_coding() -> None:
    assert collected("gzip", []) == b""
