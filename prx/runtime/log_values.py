"""What of a log line's context is written: plain JSON values of bounded size, without secrets.

Three things hide a secret: the name of its key, its form (a token, the secret of a webhook, user and password in a
URL), and, for what the configuration holds, its value, wherever that turns up.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from prx.config.redaction import MASK, without_credentials
from prx.config.types import is_secret_key

_MAX_TEXT: Final = 8192
_MAX_DEPTH: Final = 4
_MAX_NESTED: Final = 256
_MAX_NESTED_TEXT: Final = 1024
_MAX_INT: Final = 1 << 64
_LEAST_HIDDEN: Final = 8
"""A shorter value would be taken out of ordinary words."""
_MAX_HIDDEN: Final = 1000
_TOKEN: Final = re.compile(r"\bprx_[A-Za-z0-9_-]{43}")
_HOOK_SECRET: Final = re.compile(r"\bwhsec_[A-Za-z0-9+/]+={0,2}")
_BEARER: Final = re.compile(r"(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


class Redaction:
    """Takes secrets out of text; one for the log of the process."""

    def __init__(self) -> None:
        """Know no values yet."""
        self._values: re.Pattern[str] | None = None

    def hide(self, values: Iterable[str]) -> None:
        """Hide these values from now on, also where they are written as JSON or in a URL, and no others."""
        spelled = {
            spelling
            for value in values
            if len(value) >= _LEAST_HIDDEN
            for spelling in (value, json.dumps(value)[1:-1], quote(value, safe=""))
        }
        # The longest first: a secret may be a part of another.
        longest = sorted(spelled, key=len, reverse=True)[:_MAX_HIDDEN]
        self._values = re.compile("|".join(map(re.escape, longest))) if longest else None

    def clean(self, text: str) -> str:
        """Return `text` with `MASK` in place of each secret."""
        if self._values is not None:
            text = self._values.sub(MASK, text)
        if "//" in text and ("@" in text or "=" in text):
            text = without_credentials(text)
        if "prx_" in text:
            text = _TOKEN.sub(MASK, text)
        if "whsec_" in text:
            text = _HOOK_SECRET.sub(MASK, text)
        if "earer" in text or "EARER" in text:
            text = _BEARER.sub(rf"\1{MASK}", text)
        return text


redaction: Final = Redaction()


def plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return `context` as values that JSON has a form for, none of them long, deep or secret."""
    walk = _Walk()
    return {key: walk.plain(key, value, _MAX_TEXT) for key, value in context.items()}


class _Walk:
    """One way through a context, which ends after so many values inside of others."""

    def __init__(self) -> None:
        self._left = _MAX_NESTED

    def plain(self, key: str, value: Any, most: int, depth: int = 0) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if is_secret_key(key):
            return MASK
        if isinstance(value, str):
            return _text(value, most)
        if isinstance(value, int):
            return value if abs(value) < _MAX_INT else "a huge number"
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, Mapping) and depth < _MAX_DEPTH:
            return {
                _text(str(name), _MAX_NESTED_TEXT): self._inner(str(name), inner, depth)
                for name, inner in islice(value.items(), self._left)
            }
        if isinstance(value, list | tuple | set | frozenset) and depth < _MAX_DEPTH:
            return [self._inner("", inner, depth) for inner in islice(value, self._left)]
        return _text(repr(value), most)

    def _inner(self, key: str, value: Any, depth: int) -> Any:
        self._left = max(0, self._left - 1)
        return self.plain(key, value, _MAX_NESTED_TEXT, depth + 1)


def _text(text: str, most: int) -> str:
    # Cut before as well, for the time it takes; twice as much, since a secret at the cut would be left in part.
    cleaned = redaction.clean(text[: 2 * most])
    if len(text) <= most:
        return cleaned
    return f"{cleaned[:most]}... ({len(text) - most} more characters)"
