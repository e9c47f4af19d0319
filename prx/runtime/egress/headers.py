"""What a request may say: methods and headers, and which of them survive a redirect."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from prx import __version__
from prx.core.egress.errors import EgressRefusedError, EgressTooLargeError
from prx.core.egress.target import Target

Headers = Sequence[tuple[str, str]]

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_MAX_HEADERS: Final = 100
_MAX_CHARS: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNFIT: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
# They belong to the connection, which is the client's own business; libraries of guests set them by habit.
_LEFT_OUT: Final = frozenset({"connection", "keep-alive", "content-length", "accept-encoding", "te"})
# Whoever sets one of these wants to change how the message is framed, or to whom it seems to go.
_REFUSED: Final = frozenset({"transfer-encoding", "trailer", "upgrade", "expect", "http2-settings"})
_REFUSED_PREFIX: Final = "proxy-"
# What goes with a redirect to another origin. Any other header may be a credential: X-Api-Key is as much one as
# Authorization and Cookie are.
_FOR_STRANGERS: Final = frozenset({"accept", "accept-language", "user-agent", "range", "if-none-match"})
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "trailer", "te", "upgrade", "proxy-authenticate"}
)


def checked_method(method: str) -> str:
    """Return `method` in upper case.

    Raises:
        EgressRefusedError: it is none of `METHODS`.
    """
    if method.upper() not in METHODS:
        raise EgressRefusedError(f"the method {method[:32]!r} is refused: use one of {', '.join(METHODS)}")
    return method.upper()


def checked_headers(headers: Iterable[tuple[str, str]], target: Target) -> Headers:
    """Return what of `headers` is sent to `target`, in order; the client adds its own.

    Raises:
        EgressRefusedError: one of them is no header, or may not be set; names it, never its value.
    """
    kept = []
    size = 0
    for name, value in headers:
        check_form(name, value)
        size += len(name) + len(value)
        lower = name.lower()
        if lower == "host" and value.strip().lower() not in {target.authority, str(target.host)}:
            raise EgressRefusedError(f"the header Host is refused: it is {target.authority}, as the URL says")
        if is_refused(name):
            raise EgressRefusedError(
                f"the header {name} is refused: it belongs to the connection, leave it out"
            )
        if lower not in _LEFT_OUT and lower != "host":
            kept.append((name, value.strip(" \t")))
    if len(kept) > _MAX_HEADERS or size > _MAX_CHARS:
        raise EgressRefusedError(
            f"too many headers: at most {_MAX_HEADERS} of together {_MAX_CHARS} characters are sent"
        )
    return kept


def with_own_headers(headers: Headers, target: Target) -> list[tuple[str, str]]:
    """Return `headers` with those that the client sets itself."""
    names = {name.lower() for name, _ in headers}
    own = [("Host", target.authority), ("Accept-Encoding", "gzip")]
    if "user-agent" not in names:
        own.append(("User-Agent", f"prx/{__version__}"))
    if "accept" not in names:
        own.append(("Accept", "*/*"))
    return [*own, *headers]


def without_credentials(headers: Headers) -> Headers:
    """Return what of `headers` may follow a redirect to another origin."""
    return [(name, value) for name, value in headers if name.lower() in _FOR_STRANGERS]


def without_body_headers(headers: Headers) -> Headers:
    """Return `headers` for a redirect that turns the request into one without a body."""
    return [(name, value) for name, value in headers if not name.lower().startswith("content-")]


def received_headers(raw: Iterable[tuple[bytes, bytes]], *, decoded: bool) -> list[tuple[str, str]]:
    """Return an answer's headers in order, names in lower case, without those that only its transfer needed.

    Args:
        raw: as they came.
        decoded: whether the body was decompressed, so that its old length and coding are no longer true.

    Raises:
        EgressTooLargeError: they are larger than any answer's headers need to be.
    """
    left_out = _OF_THE_CONNECTION | ({"content-encoding", "content-length"} if decoded else set())
    raw = list(raw)
    if sum(len(name) + len(value) for name, value in raw) > _MAX_CHARS:
        raise EgressTooLargeError(f"the answer's headers are larger than {_MAX_CHARS} bytes")
    pairs = (
        (name.decode("ascii", "replace").lower(), value.decode("utf-8", "replace")) for name, value in raw
    )
    return [(name, value) for name, value in pairs if name not in left_out]


def is_refused(name: str) -> bool:
    """Tell whether `checked_headers` refuses the header `name` whatever its value is."""
    lower = name.lower()
    return lower in _REFUSED or lower.startswith(_REFUSED_PREFIX)


def check_form(name: str, value: str) -> None:
    """Tell a header from what is none.

    Raises:
        EgressRefusedError: a name that is no name, or a value of more than one line.
    """
    if not _TOKEN.fullmatch(name):
        raise EgressRefusedError(f"{name[:64]!r} is no name of a header: it has letters, digits and hyphens")
    if _UNFIT.search(value):
        raise EgressRefusedError(f"the header {name} holds a control character: a value is one line of text")
