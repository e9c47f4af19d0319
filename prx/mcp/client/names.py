"""What the daemon calls a server's tools: unique over servers, and within what language models take as a name."""

import hashlib
import re
from typing import Final

_LEGAL: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
_MAX_CHARS: Final = 64
_DIGEST_CHARS: Final = 8
_JOINT: Final = "__"


def is_of(server: str, prefix: str, name: str) -> bool:
    """Tell whether `name` is one that a tool of `server` would have, whichever tools it has; never without a prefix."""
    beginning = _ILLEGAL.sub("_", _JOINT.join((prefix, server, "")))
    return bool(prefix) and name.startswith(beginning[: _MAX_CHARS - _DIGEST_CHARS - 1])


def offered_name(prefix: str, server: str, tool: str) -> str:
    """Return `<prefix>__<server>__<tool>`, or `tool` alone where the prefix is empty.

    One that is longer than 64 characters, or has others than ASCII letters, digits, `_` and `-`, is cut and
    replaced, and ends in a digest of the whole: always the same, and another one for another tool.
    """
    name = _JOINT.join((prefix, server, tool)) if prefix else tool
    if _LEGAL.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{_ILLEGAL.sub('_', name)[: _MAX_CHARS - _DIGEST_CHARS - 1]}_{digest}"
