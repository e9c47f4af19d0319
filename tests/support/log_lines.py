"""Lines of the log, made without a log."""

import json
from typing import Any

from prx.core.levels import LogLevel
from prx.runtime.logs.line import LogLine

EPOCH = 1_764_086_400_000_000
"""The number of a line of 25 November 2025, noon."""


def stamp(second: float) -> str:
    """Return the time so many seconds after `EPOCH` as lines have it."""
    minutes, secs = divmod(second, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"2025-11-25T{16 + hours:02}:{minutes:02}:{secs:06.3f}Z"


def body(
    message: str, *, level: LogLevel = "info", module: str = "daemon", second: float = 0, **context: Any
) -> bytes:
    """Return a line as the log hands it to the book."""
    own = {"timestamp": stamp(second), "level": level, "module": module, "message": message}
    return json.dumps(own | context).encode()


def line(
    number: int,
    message: str = "",
    *,
    level: LogLevel = "info",
    module: str = "daemon",
    second: float | None = None,
) -> LogLine:
    """Return the line `number`, written so many seconds after `EPOCH` unless told otherwise."""
    at = number if second is None else second
    text = body(message or f"line {number}", level=level, module=module, second=at)
    return LogLine(EPOCH + number * 1_000_000, stamp(at).encode(), (level, module), text)


def messages(lines: list[LogLine]) -> list[str]:
    """Return what the lines say."""
    return [json.loads(each.body)["message"] for each in lines]
