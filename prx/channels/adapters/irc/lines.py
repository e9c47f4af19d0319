"""Lines of IRC: read into their parts, and written from them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_TAG_ESCAPES: Final = {":": ";", "s": " ", "r": "\r", "n": "\n"}
_FORMATTING: Final = re.compile(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9a-fA-F]{6})?|[\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a server sent."""

    command: str
    """In upper case, or a number of three digits."""
    arguments: Sequence[str]
    source: str = ""
    """Who sent it: `nick!user@host`, or a server."""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def nick(self) -> str:
        """The nick in `source`."""
        return self.source.partition("!")[0]

    def argument(self, number: int) -> str:
        """Return one argument, empty where there is none; -1 is the last one."""
        try:
            return self.arguments[number]
        except IndexError:
            return ""


def parsed(raw: bytes) -> Line | None:
    """Return a line in its parts; None where there is no command in it."""
    text = _decoded(raw).strip("\r\n").replace("\0", "")
    tags: dict[str, str] = {}
    if text.startswith("@"):
        written, _, text = text[1:].partition(" ")
        tags = dict(_tag(each) for each in written.split(";") if each)
    source, text = "", text.lstrip(" ")
    if text.startswith(":"):
        source, _, text = text[1:].partition(" ")
    text, colon, trailing = f" {text}".partition(" :")
    words = [word for word in text.split(" ") if word]
    if not words:
        return None
    return Line(words[0].upper(), words[1:] + ([trailing] if colon else []), source, tags)


def written(command: str, *arguments: str) -> bytes:
    """Return a line to send; the last argument may have blanks in it. No argument can begin a line of its own."""
    *middle, last = [command, *(re.sub(r"[\r\n\0]+", " ", each) for each in arguments)]
    colon = ":" if not last or " " in last or last.startswith(":") else ""
    return " ".join([*middle, f"{colon}{last}\r\n"]).encode()


def lowered(name: str) -> str:
    """Return a nick or channel as one that means the same is written by everybody (CASEMAPPING rfc1459)."""
    return name.lower().translate(str.maketrans("[]\\~", "{}|^"))


def unformatted(text: str) -> str:
    """Return a text without colours, bold and other control characters."""
    return _FORMATTING.sub("", text)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")  # what older clients send


def _tag(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, re.sub(r"\\(.?)", lambda match: _TAG_ESCAPES.get(match[1], match[1]), value)
