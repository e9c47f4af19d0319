"""A file on its way from a tool to a user, and what may be said of one whose description came from elsewhere."""

import re
from dataclasses import dataclass
from typing import Any, Final

MAX_NAME_CHARS: Final = 100
UNKNOWN_TYPE: Final = "application/octet-stream"

# What stands in headers of requests and mails; multipart and message would need a body of their own form.
_MEDIA_TYPE: Final = re.compile(r"(?!multipart/|message/)[a-z]{1,20}/[a-z0-9][a-z0-9.+-]{0,79}")
_SUFFIXES: Final = {"plain": "txt", "mpeg": "mp3", "octet-stream": "bin", "markdown": "md", "jpeg": "jpg"}
_SUFFIX: Final = re.compile(r"[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is sent."""

    name: str
    media_type: str
    content: bytes


def fit_name(name: str) -> str:
    """Return a name as one of a file that fits everywhere: no path, no controls, bounded; empty where none is left."""
    printable = "".join(each if each.isprintable() and each not in '/\\:"' else " " for each in name)
    name = " ".join(printable.split()).strip(" .")
    if len(name) <= MAX_NAME_CHARS:
        return name
    stem, _, suffix = name.rpartition(".")
    if not stem or not _SUFFIX.fullmatch(suffix.lower()):
        return name[:MAX_NAME_CHARS].rstrip(" .")
    return f"{stem[: MAX_NAME_CHARS - len(suffix) - 1]}.{suffix}"


def fit_media_type(value: Any) -> str:
    """Return a media type without its parameters; that of unknown bytes where it is none."""
    kind = value.partition(";")[0].strip().lower() if isinstance(value, str) else ""
    return kind if _MEDIA_TYPE.fullmatch(kind) else UNKNOWN_TYPE


def suffix_of(media_type: str) -> str:
    """Return how the name of a file of this type ends, the dot included."""
    kind = media_type.rpartition("/")[2].partition("+")[0]
    kind = _SUFFIXES.get(kind, kind)
    return f".{kind if _SUFFIX.fullmatch(kind) else 'bin'}"
