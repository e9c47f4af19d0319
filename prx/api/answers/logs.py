"""Lines of the log, and what its streams and those of events tell."""

from typing import Any

from prx.api.bodies import Answer, Moment, OpenAnswer
from prx.core.levels import LogLevel


class LogEntry(OpenAnswer):
    """A line of the log; its own context, such as `plugin` or `request_id`, is beside these fields."""

    timestamp: Moment
    level: LogLevel
    module: str
    message: str


class LogAnswer(Answer):
    """Lines that match, newest last."""

    entries: list[LogEntry]
    total: int
    """How many match, on this page or not."""


class DroppedEvent(Answer):
    """So many events are missing here: they came faster than they were read."""

    dropped: int


class BusEvent(Answer):
    """Something that happened in the daemon."""

    id: str
    topic: str
    payload: Any
    source: str
    """Who says so: `prx`, or `plugin:<name>`."""
    timestamp: Moment
