"""Lines of a stream: the same however it arrives, and never more of a long one than its ends."""

from hypothesis import given
from hypothesis import strategies as st

from prx.mcp.client.lines import LineSplitter, LongLine

_MOST = 300
_LINES = st.lists(st.binary(max_size=700).map(lambda line: line.replace(b"\n", b"")), max_size=8)


@given(_LINES, st.data())
def test_lines_do_not_depend_on_how_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter, found = LineSplitter(_MOST), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:size])
        stream = stream[size:]
    expected = [
        line if len(line) <= _MOST else LongLine(len(line), line[:256], line[-256:]) for line in lines
    ]
    assert found == expected
    assert splitter.rest() == b""


@given(st.binary(max_size=700).map(lambda line: line.replace(b"\n", b"")))
def test_what_is_begun_is_the_rest(line: bytes) -> None:
    splitter = LineSplitter(_MOST)
    assert list(splitter.feed(b"before\n" + line)) == [b"before"]
    assert splitter.rest() == (line if len(line) <= _MOST else line[-256:])
