"""One tree of errors, each with the stable code that the API, the CLI and the log show.

A message says what, why and what to do, in words fit for the caller. HTTP status lives in `prx.api.errors`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class PrxError(Exception):
    """Anything PRX refuses or fails to do, in words fit for the caller."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        """Keep `message` for the caller and `details`, a JSON object, for its program."""
        super().__init__(message)
        self.message = message
        self.details = details


class BadRequestError(PrxError):
    """The request cannot be understood or its values are not allowed."""

    code = "bad_request"


class UnauthorizedError(PrxError):
    """No token, or one that is not valid any more."""

    code = "unauthorized"


class ForbiddenError(PrxError):
    """The token is valid but may not do this."""

    code = "forbidden"


class NotFoundError(PrxError):
    """A named thing does not exist."""

    code = "not_found"


class ConflictError(PrxError):
    """The thing exists, but its state does not allow this."""

    code = "conflict"


class PreconditionFailedError(PrxError):
    """The thing is not any more what the caller wants to change."""

    code = "precondition_failed"


class RateLimitedError(PrxError):
    """Too many requests in the window."""

    code = "rate_limited"


class UnavailableError(PrxError):
    """The daemon cannot do this now: it starts, drains or is busy."""

    code = "unavailable"

    def __init__(
        self, message: str, *, retry_after_secs: int = 1, details: Mapping[str, Any] | None = None
    ) -> None:
        """Tell the caller to come back after `retry_after_secs`."""
        super().__init__(message, details=details)
        self.retry_after_secs = retry_after_secs


class CallFailedError(PrxError):
    """What was called ran and failed; the message is its own reason, `details.code` the stable code of how it ended."""

    code = "call_failed"


class ConfigError(PrxError):
    """The configuration is wrong: the message names file, key, what was expected and where."""

    code = "bad_config"


class PermanentError(PrxError):
    """A unit cannot run until an operator changes something; the supervisor does not restart it."""

    code = "permanent"
