"""What a message to the agent may be, on whichever way it comes in."""

import re
from typing import Final

from prx.core.message import MAX_CONTENT_BYTES, MAX_KEY_CHARS

FIT_KEY: Final = rf"^[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}$"
"""What an idempotency key looks like, as a pattern of a JSON Schema."""


def fit_content(content: str) -> str:
    """Return a message's text if it may be one.

    Raises:
        ValueError: it is blank or too long.
    """
    if not content.strip():
        raise ValueError("there is nothing in it but blanks")
    size = len(content.encode())
    if size > MAX_CONTENT_BYTES:
        raise ValueError(f"has at most {MAX_CONTENT_BYTES} bytes, this one has {size}")
    return content


def fit_key(key: str) -> str:
    """Return an idempotency key if it may be one.

    Raises:
        ValueError: it is empty, too long or has other characters.
    """
    if not re.fullmatch(FIT_KEY, key):
        raise ValueError(f"has 1 to {MAX_KEY_CHARS} printable ASCII characters without blanks")
    return key
