"""The newest lines in memory: a bounded ring that any number of readers looks into, each from where it is."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from prx.runtime.logs.line import Key, LogLine

_MAX_LINES: Final = 8192
_MAX_BYTES: Final = 4 << 20


class LogRing:
    """For one thread at a time: its owner holds a lock."""

    def __init__(self, floor: int, *, max_lines: int = _MAX_LINES, max_bytes: int = _MAX_BYTES) -> None:
        """Hold nothing yet; lines up to number `floor` were before."""
        self.floor = floor
        """The number of the newest line that is not here any more: what comes after it is here."""
        self._slots: list[LogLine | None] = [None] * max_lines
        self._max_bytes = max_bytes
        self._start = 0
        self._end = 0
        self._bytes = 0
        self._gone: Counter[Key] = Counter()

    def append(self, line: LogLine) -> None:
        """Add a line with a greater number than the last one, and forget the oldest ones over the bounds."""
        if self._end - self._start == len(self._slots):
            self._forget_oldest()
        self._slots[self._end % len(self._slots)] = line
        self._end += 1
        self._bytes += len(line.body)
        while self._bytes > self._max_bytes:
            self._forget_oldest()

    @property
    def last_seq(self) -> int:
        """The number of the newest line."""
        return self._at(self._end - 1).seq if self._end > self._start else self.floor

    def after(self, seq: int, most: int | None = None) -> list[LogLine]:
        """Return the lines behind number `seq`, oldest first, at most `most`."""
        first = self._position_after(seq)
        last = self._end if most is None else min(self._end, first + most)
        size = len(self._slots)
        return [line for at in range(first, last) if (line := self._slots[at % size]) is not None]

    def count_to(self, seq: int, wants: Callable[[Key], bool]) -> int:
        """Return how many lines were ever here up to number `seq`, of those with a key that `wants` says yes to."""
        gone = sum(count for key, count in self._gone.items() if wants(key))
        return gone + sum(wants(self._at(at).key) for at in range(self._start, self._position_after(seq)))

    def _position_after(self, seq: int) -> int:
        low, high = self._start, self._end
        while low < high:
            middle = (low + high) // 2
            if self._at(middle).seq > seq:
                high = middle
            else:
                low = middle + 1
        return low

    def _at(self, position: int) -> LogLine:
        line = self._slots[position % len(self._slots)]
        assert line is not None  # noqa: S101  # between start and end every slot is taken
        return line

    def _forget_oldest(self) -> None:
        line = self._at(self._start)
        self._slots[self._start % len(self._slots)] = None
        self._start += 1
        self._bytes -= len(line.body)
        self._gone[line.key] += 1
        self.floor = line.seq
