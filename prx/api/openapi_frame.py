"""What in the OpenAPI document is the same for all routes: what it is about, tokens, refusals, headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from prx.api.errors import (
    STATUS,
    InternalError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from prx.core.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PreconditionFailedError,
    PrxError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
)

INFO: Final = {
    "title": "PRX",
    "summary": "A daemon that hosts WebAssembly plugins for AI agents",
    "description": (
        "JSON in, JSON out. Times are UTC in ISO 8601. Every failure has the form of `ErrorAnswer`. Each `GET` answers "
        "`HEAD`, too. Parameters of a query that are not listed are passed over."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
SECURITY: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`prx auth token` makes one. What a route lists is the scope that the token needs.",
    }
}


def header(meaning: str, *, kind: str = "string", required: bool = False) -> dict[str, Any]:
    """Return the description of an answer's header."""
    return {"description": meaning, "required": required, "schema": {"type": kind}}


_LIMITED: Final = " Absent where the limit is switched off."
HEADERS: Final = {
    "X-Request-Id": header(
        "The id that the request brought, or a new one; the daemon's log has it where something failed.",
        required=True,
    ),
    "Cache-Control": header("`no-store`.", required=True),
    "X-Content-Type-Options": header("`nosniff`.", required=True),
    "X-RateLimit-Limit": header(
        f"Requests in one second for this group of routes.{_LIMITED}", kind="integer"
    ),
    "X-RateLimit-Remaining": header(f"How many of them are left now.{_LIMITED}", kind="integer"),
    "X-RateLimit-Reset": header(f"When all are free again, in seconds since 1970.{_LIMITED}", kind="integer"),
    "Retry-After": header("After how many seconds to come back.", kind="integer", required=True),
    "WWW-Authenticate": header("`Bearer`.", required=True),
}
_OF_SOME: Final = ("Retry-After", "WWW-Authenticate")


def headers_of(*special: str) -> dict[str, Any]:
    """Return the headers that every answer has, and the `special` ones."""
    return {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in HEADERS
        if name in special or name not in _OF_SOME
    }


@dataclass(frozen=True, slots=True)
class Refusal:
    """One status of refusals."""

    name: str
    """Under which the document has it."""
    meaning: str
    headers: tuple[str, ...] = ()


def _refusal(kind: type[PrxError], *headers: str) -> Refusal:
    meaning = (kind.__doc__ or "").partition("\n")[0]
    return Refusal(kind.__name__.removesuffix("Error"), f"`{kind.code}`: {meaning}", headers)


REFUSALS: Final[Mapping[int, Refusal]] = {
    STATUS[kind.code]: _refusal(kind, *headers)
    for kind, *headers in (
        (BadRequestError,),
        (UnauthorizedError, "WWW-Authenticate"),
        (ForbiddenError,),
        (NotFoundError,),
        (ConflictError,),
        (PreconditionFailedError,),
        (PayloadTooLargeError,),
        (UnsupportedMediaTypeError,),
        (RateLimitedError, "Retry-After"),
        (InternalError,),
        (UnavailableError, "Retry-After"),
    )
}
"""Every status with which a route may refuse; 405 is of a path, and of no route."""
