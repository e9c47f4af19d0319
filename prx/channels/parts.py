"""What an answer becomes on a platform: one message after the other, the text first, then the files."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from prx.channels.inbox_table import KeptFile
from prx.channels.markup import formatted
from prx.channels.splitting import shorten, size_of, split
from prx.core.channel import Capabilities
from prx.core.file import File
from prx.core.text import sayable

_MAX_PARTS: Final = 10
"""A text of more is a file, where the platform takes one."""
_MOST_PARTS: Final = 50
_GOES_ON: Final = " …"
_LEAST_LENGTH: Final = 64
"""Shorter than this no text is made for what formatting adds."""


class Part(NamedTuple):
    """One message of an answer."""

    text: str
    files: Sequence[File | KeptFile] = ()


def parts_of(text: str, kept: Sequence[KeptFile], can: Capabilities) -> list[Part]:
    """Return the messages that say `text` and bring the files; those that the platform does not take are named.

    The same answer is always the same messages, whichever life of the daemon asks.
    """
    fit = [each for each in kept if _takes(can, each.size)]
    lines = [not_sent(each, _reason(can)) for each in kept if each not in fit]
    text = sayable("\n\n".join(filter(None, [text, "\n".join(lines)])))
    texts = _texts(text, can)
    files: list[File | KeptFile] = [*fit]
    if len(texts) > _MAX_PARTS:
        texts, whole = _less(text, texts, can)
        files = [*whole, *fit]
    if can.attaches and files:
        return [*map(Part, texts[:-1]), Part("".join(texts[-1:]), files)]
    # Each by itself: of several in one message some would come twice, should it have to be said again.
    return [*map(Part, texts), *(Part("", [each]) for each in files)]


def beginning(text: str, can: Capabilities) -> str:
    """Return as much of an answer as one message takes."""
    text = sayable(text)
    if size_of(text, can.unit) > can.max_length:
        text = shorten(text, can, can.max_length - size_of(_GOES_ON, can.unit)) + _GOES_ON
    return text if _fits(text, can) else beginning(text, _shorter(can))


def not_sent(file: File | KeptFile, reason: str) -> str:
    """Say in the chat that a file is missing, and why."""
    return f"[{file.name} ({file.media_type}) was not sent: {reason}]"


def _texts(text: str, can: Capabilities) -> list[str]:
    """Return the messages that a text becomes; each fits also once it is formatted."""
    texts = split(text, can)
    return texts if all(_fits(each, can) for each in texts) else _texts(text, _shorter(can))


def _fits(text: str, can: Capabilities) -> bool:
    if can.max_formatted_length is None or can.max_length < _LEAST_LENGTH:
        return True
    return size_of(formatted(text, can.markup) or text, can.unit) <= can.max_formatted_length


def _shorter(can: Capabilities) -> Capabilities:
    return replace(can, max_length=can.max_length * 3 // 4)


def _takes(can: Capabilities, size: int) -> bool:
    return can.max_file_bytes > 0 and size <= can.max_file_bytes


def _reason(can: Capabilities) -> str:
    if not can.max_file_bytes:
        return "this channel takes no files"
    return f"this channel takes files of {can.max_file_bytes} bytes at most"


def _less(text: str, texts: list[str], can: Capabilities) -> tuple[list[str], Sequence[File]]:
    """Return what to say instead of very many messages: the beginning, with all of it in a file or as far as may be."""
    content = text.encode()
    if _takes(can, len(content)):
        return texts[:1], [File(name="answer.md", media_type="text/markdown", content=content)]
    if len(texts) <= _MOST_PARTS:
        return texts, ()
    left_out = sum(map(len, texts[_MOST_PARTS:]))
    return [*texts[:_MOST_PARTS], f"[{left_out} more characters were cut off]"], ()
