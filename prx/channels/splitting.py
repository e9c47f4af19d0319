"""Cutting a text into messages that a platform takes: no character in two, and code blocks whole wherever they fit."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prx.core.channel import Capabilities, LengthUnit

_FENCE: Final = re.compile(r"^ {0,3}(?P<marks>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_ZERO_WIDTH_JOINER: Final = "\u200d"
# Where there is less room than this, a fence that is closed and opened again would leave none for the code.
_LEAST_ROOM_FOR_FENCES: Final = 64

_SIZES: Final[dict[LengthUnit, Callable[[str], int]]] = {
    "chars": len,
    "utf16": lambda text: len(text) + sum(character > "\uffff" for character in text),
    "bytes": lambda text: len(text.encode(errors="surrogatepass")),
}


def size_of(text: str, unit: LengthUnit) -> int:
    """Return how long a text is to a platform."""
    return _SIZES[unit](text)


def split(text: str, can: Capabilities) -> list[str]:
    """Return the messages that `text` becomes, in order. White space at a cut goes; nothing else is lost.

    A code block that is cut all the same is closed, and opened again in the next message.
    """
    if not can.multiline:
        lines = (line for line in text.splitlines() if not _FENCE.match(line))
        return [part for line in lines for part in _Cutter(can).cut(line)]
    if size_of(text, can.unit) <= can.max_length:
        return [text] if text.strip() else []
    return _Cutter(can).cut(text)


def shorten(text: str, can: Capabilities, limit: int) -> str:
    """Return the beginning of a text that has `limit` units at most, cut between characters."""
    return text[: _Cutter(can).fitting(text, limit)]


class _Cutter:
    def __init__(self, can: Capabilities) -> None:
        self._limit = can.max_length
        self._size = _SIZES[can.unit]
        self._parts: list[str] = []
        self._lines: list[str] = []
        self._length = 0

    def cut(self, text: str) -> list[str]:
        for block in _blocks(text, fences=self._limit >= _LEAST_ROOM_FOR_FENCES):
            if len(block) == 1:
                self._add(block[0])
                continue
            whole = self._size("\n".join(block))
            if whole <= self._limit:
                if self._length + 1 + whole > self._limit:
                    self._end()
                for line in block:
                    self._add(line)
            else:
                self._add_fenced(block)
        self._end()
        return self._parts

    def fitting(self, text: str, room: int) -> int:
        """Return how many characters of `text` go into `room`, never half a cluster unless there is but one."""
        fits = used = 0
        for character in text:
            used += self._size(character)
            if used > room:
                break
            fits += 1
        if fits == len(text):
            return fits
        end = fits
        while end > 0 and _continues(text, end):
            end -= 1
        return end or fits

    def _add(self, line: str) -> None:
        """Add a line, in pieces where it is too long for one message."""
        while True:
            needed = self._size(line)
            if self._length + bool(self._lines) + needed <= self._limit:
                self._append(line, needed)
                return
            if self._lines and needed <= self._limit:
                self._end()
                continue
            if self._lines and self._length > self._limit // 2:
                self._end()
                continue
            room = self._limit - self._length - bool(self._lines)
            end = self.fitting(line, room)
            if end == 0 and self._lines:
                self._end()
                continue
            # A limit that not even one character fits into cannot be kept.
            end = _word_end(line, end) or 1
            piece, line = line[:end].rstrip(), line[end:].lstrip()
            self._append(piece, self._size(piece))
            self._end()
            if not line:
                return

    def _add_fenced(self, block: Sequence[str]) -> None:
        """Add a code block that is longer than a message."""
        opening, *code = block
        match = _FENCE.match(opening)
        marks = match["marks"] if match else "```"
        if self._size(opening) > self._limit // 4:
            opening = marks
        closing = code.pop() if code and _closes(code[-1], marks) else None
        spare = self._size(marks) + 1
        if self._length + 2 * spare + self._size(opening) > self._limit:
            self._end()
        self._append(opening, self._size(opening))
        for line in code:
            rest: str | None = line
            while rest is not None:
                room = self._limit - self._length - 1 - spare
                needed = self._size(rest)
                if needed <= room:
                    self._append(rest, needed)
                    break
                if self._lines != [opening]:
                    self._append(marks, 0)
                    self._end()
                    self._append(opening, self._size(opening))
                    continue
                end = max(self.fitting(rest, room), 1)
                self._append(rest[:end], self._size(rest[:end]))
                rest = rest[end:] or None
        if self._lines != [opening] or not self._parts:
            self._append(closing or marks, spare)
        else:
            self._lines.clear()
            self._length = 0

    def _append(self, line: str, needed: int) -> None:
        self._length += bool(self._lines) + needed
        self._lines.append(line)

    def _end(self) -> None:
        part = "\n".join(self._lines).strip("\n")
        if part.strip():
            self._parts.append(part)
        self._lines = []
        self._length = 0


def _blocks(text: str, *, fences: bool) -> Iterator[list[str]]:
    """Yield each line outside of code blocks by itself, and each code block with its fences."""
    block: list[str] = []
    marks = ""
    for line in text.split("\n"):
        if block:
            block.append(line)
            if _closes(line, marks):
                yield block
                block = []
        elif fences and (match := _FENCE.match(line)):
            block, marks = [line], match["marks"]
        else:
            yield [line]
    if len(block) == 1:
        yield block
    elif block:
        # Never closed: it is until the end of the text.
        yield [*block, marks]


def _closes(line: str, marks: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= len(marks) and set(stripped) == {marks[0]}


def _continues(text: str, at: int) -> bool:
    """Tell whether the character at `at` belongs to the one before it."""
    character, before = text[at], text[at - 1]
    if _ZERO_WIDTH_JOINER in (before, character):
        return True
    if unicodedata.category(character) in ("Mn", "Me", "Mc") or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    return _is_regional(character) and _is_regional(before) and _regionals_before(text, at) % 2 == 1


def _regionals_before(text: str, at: int) -> int:
    """Return how many letters of flags stand before `at`; two make one."""
    count = 0
    while count < at and _is_regional(text[at - 1 - count]):
        count += 1
    return count


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _word_end(line: str, end: int) -> int:
    """Return where to cut before `end`: behind a space, unless that is far away."""
    if end >= len(line) or line[end].isspace():
        return end
    space = line.rfind(" ", end // 2, end)
    return space + 1 if space > 0 else end
