"""Who speaks in a group: several people in one session are told apart by what their messages begin with."""

import re
from typing import Final

_MAX_CHARS: Final = 64
"""Of a name, and of an id."""
_SPEAKER: Final = re.compile(r"\[[^\[\]\n]{1,140}\]: ?")
_BRACKETS: Final = str.maketrans("[]", "()")


def spoken(text: str, user_id: str, name: str = "") -> str:
    """Return what somebody said as `[name (id)]: text`. Names are as people chose them, the id is the platform's."""
    user_id, name = _fit(user_id), _fit(name)
    who = f"{name} ({user_id})" if name and user_id and name != user_id else name or user_id or "?"
    return f"[{who}]: {text}"


def without_speaker(text: str) -> str:
    """Return what was said, whether or not it begins with who said it."""
    speaker = _SPEAKER.match(text)
    return text if speaker is None else text[speaker.end() :]


def _fit(name: str) -> str:
    """Return a name on one line, without what could end it early or be taken for another's."""
    printable = "".join(each if each.isprintable() else " " for each in name)
    line = " ".join(printable.split()).translate(_BRACKETS)
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"
