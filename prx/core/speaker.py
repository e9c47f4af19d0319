"""Who speaks in a group: several people in one session are told apart by what their messages begin with."""

import re
from typing import Final

_MAX_CHARS: Final = 64
"""Of a name, and of an id."""
_SPEAKER: Final = re.compile(r"\[[^\[\]\n]{1,140}\]: ?")
# A line that would be taken for another's, with as many backslashes as it was written with.
_LINE_OF_ANOTHER: Final = re.compile(
    r"((?:^|(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]))[ \t]*)(\\*)(?=\[[^\[\]\n]{1,140}\]:)"
)
_ESCAPED: Final = r"\1\\\2"
_BRACKETS: Final = str.maketrans("[]", "()")


def spoken(text: str, user_id: str, name: str = "") -> str:
    """Return what somebody said as `[name (id)]: text`. Names are as people chose them, the id is the platform's.

    Of a text of several lines, one that begins like what somebody else says is escaped by a backslash.
    """
    user_id, name = _fit(user_id), _fit(name)
    who = f"{name} ({user_id})" if name and user_id and name != user_id else name or user_id or "?"
    return f"[{who}]: {_LINE_OF_ANOTHER.sub(_ESCAPED, text)}"


def without_speaker(text: str) -> str:
    """Return what was said, whether or not it begins with who said it."""
    speaker = _SPEAKER.match(text)
    return text if speaker is None else _LINE_OF_ANOTHER.sub(_unescaped, text[speaker.end() :])


def _unescaped(line: re.Match[str]) -> str:
    return line[1] + line[2][1:]


def _fit(name: str) -> str:
    """Return a name on one line, without what could end it early or be taken for another's."""
    printable = "".join(each if each.isprintable() else " " for each in name)
    line = " ".join(printable.split()).translate(_BRACKETS)
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"
