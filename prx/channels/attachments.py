"""What the agent is told of files that came with a message: what is in those that are text, and what others are."""

import re
from collections.abc import Sequence
from typing import Final

from prx.channels.malformed import understood
from prx.core.channel import Attachment, ChannelAdapter
from prx.core.errors import PrxError, UnavailableError
from prx.core.file import fit_media_type, fit_name

MAX_TEXT_BYTES: Final = 64 * 1024
"""Of the texts of one message together."""
_MAX_FILES: Final = 10
_TEXTS: Final = (
    "application/json",
    "application/xml",
    "application/toml",
    "application/yaml",
    "application/x-yaml",
)


async def told(attachments: Sequence[Attachment], adapter: ChannelAdapter) -> str:
    """Return what to say of files, behind the text that they came with. Fetches what can be read."""
    room = min(MAX_TEXT_BYTES, adapter.capabilities.max_download_bytes)
    parts = []
    for attachment in attachments[:_MAX_FILES]:
        text, fault = None, "it is no text"
        if _is_text(attachment):
            try:
                text = await _read(attachment, adapter, room)
            except PrxError as error:
                fault = error.message
        if text is None:
            parts.append(f"[file {_about(attachment)}, not read: {fault}]")
        else:
            # What is no UTF-8 has more bytes as text than it had.
            room = max(room - len(text.encode()), 0)
            parts.append(f"[file {_about(attachment)}]\n{fenced(text)}")
    if (more := len(attachments) - _MAX_FILES) > 0:
        parts.append(f"[and {more} more files, not read]")
    return "\n\n".join(parts)


def fenced(text: str) -> str:
    """Return a text as a code block of Markdown, whose fence is longer than any in the text: none of it gets out."""
    longest = max(map(len, re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"


async def _read(attachment: Attachment, adapter: ChannelAdapter, room: int) -> str:
    if attachment.size is not None and attachment.size > room:
        raise PrxError(f"it has {attachment.size} bytes, and {room} can be read")
    with understood(UnavailableError):
        content = await adapter.fetch(attachment, room)
    return content.decode(errors="replace")


def _is_text(attachment: Attachment) -> bool:
    kind = attachment.media_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXTS


def _about(attachment: Attachment) -> str:
    # As whoever sent it chose: a name and a type may not say more than that.
    name, kind = fit_name(attachment.name) or "without a name", fit_media_type(attachment.media_type)
    size = "" if attachment.size is None else f", {attachment.size} bytes"
    return f"{name} ({kind}{size})"
