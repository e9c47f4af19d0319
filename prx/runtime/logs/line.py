"""One line of the log book: its number, what it is found by, and its JSON, in memory and on disk.

On disk a line is its JSON object with `seq` in front. The number is the time in microseconds, or one more than the
line before: it only grows, also over restarts and where the clock is set back, so that a reader can go on behind it.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple, cast

from prx.core.levels import LogLevel

Key = tuple[LogLevel, str]
"""Level and module: what lines are counted by."""

_HEAD: Final = re.compile(
    rb'\{"seq": ([0-9]{1,18}), ("timestamp": "([0-9TZ:.-]{24})", "level": "(trace|debug|info|warn|error)", '
    rb'"module": "((?:[^"\\]|\\.)*)")'
)


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


def head_of(line: bytes) -> Head | None:
    """Return the head of a line from a file; None where it is no line of the log."""
    match = _HEAD.match(line)
    if match is None:
        return None
    return Head(int(match[1]), match[3], _key(match[4], match[5]), match.start(2))


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
