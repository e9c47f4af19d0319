"""Which lines a reader wants."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from prx.core.levels import RANKS, LogLevel
from prx.runtime.logs.line import Key, LogLine


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A filter; without arguments it lets everything through."""

    level: LogLevel = "trace"
    """The least level."""
    module: str | None = None
    """A module with everything below it: `channel` is also `channel::telegram`, never `channels`."""
    since: bytes = b""
    """Not before this time, in ISO 8601 as lines have it."""
    after: int = 0
    """Only lines with a greater number."""

    def behind(self, seq: int) -> Self:
        """Return the same filter for what comes after line `seq`, whatever its time."""
        return replace(self, since=b"", after=seq)

    def keys(self) -> Callable[[Key], bool]:
        """Return the test by level and module, which remembers what it was asked."""
        rank = RANKS[self.level]
        below = f"{self.module}::"
        known: dict[Key, bool] = {}

        def wants(key: Key) -> bool:
            if (found := known.get(key)) is None:
                level, module = key
                in_module = self.module is None or module == self.module or module.startswith(below)
                found = known[key] = in_module and RANKS[level] >= rank
            return found

        return wants

    def reaches(self, line: LogLine) -> bool:
        """Tell whether `line` is late enough; `keys` tells the rest."""
        return line.seq > self.after and line.timestamp >= self.since
