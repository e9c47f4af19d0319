"""Text that comes from elsewhere, made fit to be shown."""

import re
from typing import Final

# Sequences that colour terminals first, then every control character but tab and line breaks, and what XML cannot hold.
_UNSAYABLE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]"
)
_LINE_END: Final = re.compile(r"\r\n?")


def well_formed(text: str) -> str:
    """Return a text that every encoding takes: halves of surrogate pairs put together, single ones replaced.

    JSON may hold such halves, and a model's answer may be cut between two.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def sayable(text: str) -> str:
    """Return a text without what no chat shows, such as colours of terminals; never a longer one.

    Platforms end a connection for it (XML has no control characters) or obey it (in IRC one begins a request).
    """
    if text.isprintable():
        return text
    return _UNSAYABLE.sub("", _LINE_END.sub("\n", text))


def printable(value: object) -> str:
    """Return the text with everything escaped that a terminal would obey rather than show."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Do as `printable`, and keep the line breaks."""
    return "\n".join(map(printable, text.split("\n")))
