"""One line of the log book: its number, what it is found by, and its JSON, in memory and on disk.

On disk a line is its JSON object with `seq` in front. The number is the time in microseconds, or one more than the
line before: it only grows, also over restarts and where the clock is set back, so that a reader can go on behind it.
"""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple, cast

from prx.core.levels import LogLevel

Key = tuple[LogLevel, str]
"""Level and module: what lines are counted by."""

_HEAD: Final = (
    rb'\{"seq": ([0-9]{1,18}), "timestamp": "([0-9TZ:.-]{24})", "level": "(trace|debug|info|warn|error)", '
    rb'"module": "([^"\\\n]*(?:\\.[^"\\\n]*)*)"'
)
_AT_START: Final = re.compile(_HEAD)
# With the rest of the line, so that the search for the next one begins where it does.
_ALL: Final = re.compile(rb"^" + _HEAD + rb"[^\n]*\n", re.MULTILINE)
_LEVEL_AND_MODULE: Final = itemgetter(2, 3)


class LogLine(NamedTuple):
    """One line."""

    seq: int
    timestamp: bytes
    """In ISO 8601, always as long, so that times compare as bytes."""
    key: Key
    body: bytes
    """The JSON object that readers get."""

    def on_disk(self) -> bytes:
        """Return the line as it stands in a file, its end included."""
        return b'{"seq": %d, %b\n' % (self.seq, self.body[1:])


class Head(NamedTuple):
    """What is read of a line on disk without parsing it."""

    seq: int
    timestamp: bytes
    key: Key
    body_start: int
    """Where the line goes on behind its number."""


class Summary(NamedTuple):
    """What is known of neighbouring lines."""

    first_seq: int
    last_seq: int
    first_time: bytes
    last_time: bytes
    counts: dict[Key, int]


def head_of(line: bytes) -> Head | None:
    """Return the head of a line from a file; None where it is no line of the log."""
    match = _AT_START.match(line)
    if match is None:
        return None
    return Head(int(match[1]), match[2], _key(match[3], match[4]), match.start(2) - len(b'"timestamp": "'))


def summary_of(data: bytes) -> Summary | None:
    """Return what there is in whole lines from a file; None where none of them is a line of the log."""
    found = _ALL.findall(data)
    if not found:
        return None
    times = [line[1] for line in found]
    counts = Counter(map(_LEVEL_AND_MODULE, found))
    return Summary(
        first_seq=int(found[0][0]),
        last_seq=int(found[-1][0]),
        # The clock may have been set back.
        first_time=min(times),
        last_time=max(times),
        counts={_key(*key): count for key, count in counts.items()},
    )


def mark_of(key: Key) -> bytes:
    """Return the text in which every line with this key has it."""
    level, module = key
    return f'"level": "{level}", "module": {json.dumps(module)}'.encode()


def from_disk(line: bytes, head: Head) -> LogLine:
    """Return the line that stands in a file."""
    return LogLine(head.seq, head.timestamp, head.key, b"{" + line[head.body_start :])


def moment_of(seq: int) -> datetime:
    """Return when a line of this number was written, unless the clock was set back before."""
    seconds, micros = divmod(seq, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


@lru_cache(maxsize=4096)
def _key(level: bytes, module: bytes) -> Key:
    return cast("LogLevel", level.decode()), json.loads(b'"%b"' % module)
