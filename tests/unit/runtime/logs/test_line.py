"""A line goes to disk and back unchanged, whatever is in it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from prx.core.levels import LogLevel
from prx.runtime.logs.line import LogLine, from_disk, head_of
from tests.support.log_lines import EPOCH, body, stamp


@given(st.sampled_from(["trace", "debug", "info", "warn", "error"]), st.text(), st.text(), st.text())
def test_a_line_comes_back_from_disk(level: LogLevel, module: str, message: str, value: str) -> None:
    line = LogLine(
        EPOCH,
        stamp(1).encode(),
        (level, module),
        body(message, level=level, module=module, second=1, key=value, seq="mine"),
    )
    stored = line.on_disk()
    assert stored.count(b"\n") == 1
    head = head_of(stored)
    assert head is not None
    assert from_disk(stored.rstrip(b"\n"), head) == line
    assert json.loads(stored)["message"] == message


@given(st.binary())
def test_anything_else_is_no_line(data: bytes) -> None:
    assert head_of(data) is None
    assert head_of(b'{"seq": ' + data) is None
