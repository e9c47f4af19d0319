"""The only place that knows HTTP status: turns every error into the one envelope that leaves the port."""

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from prx.core.errors import BadRequestError, NotFoundError, PrxError, RateLimitedError, UnavailableError

STATUS: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "precondition_failed": 412,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "internal_error": 500,
    "unavailable": 503,
}
_MAX_FIELD_ERRORS: Final = 50
# Of these pydantic speaks in Python's words, and names classes.
_NO_OBJECTS: Final = frozenset({"dict_type", "model_type", "model_attributes_type"})
_NO_OBJECT: Final = "Input should be an object"


class MethodNotAllowedError(PrxError):
    """The path exists, but not with this method."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: list[str]) -> None:
        """Say what `path` answers instead."""
        super().__init__(f"{method} is not allowed here; {path} answers {', '.join(allowed)}")
        self.allowed = allowed


class PayloadTooLargeError(PrxError):
    """The request's body is larger than the daemon accepts."""

    code = "payload_too_large"


class UnsupportedMediaTypeError(PrxError):
    """The request's body is not JSON in UTF-8."""

    code = "unsupported_media_type"


class RateExceededError(RateLimitedError):
    """One bucket of rate limits is empty."""

    def __init__(self, limit: int, group: str, retry_after_secs: int) -> None:
        """Name the limit of `group` and the seconds after which a request passes again."""
        super().__init__(
            f"More than {limit} requests in one second; try again in {retry_after_secs} s. "
            f"[gateway.rate_limits] {group} sets the limit"
        )
        self.retry_after_secs = retry_after_secs


class InternalError(PrxError):
    """A fault of the daemon; the caller learns the request id, the log the rest."""

    def __init__(self, request_id: str, reason: str = "Internal error") -> None:
        """Name the request, under which the log has the cause, and what of it is fit for the caller."""
        super().__init__(
            f"{reason}. The daemon's log has more under request id {request_id}",
            details={"request_id": request_id},
        )


def is_internal(error: PrxError) -> bool:
    """Tell whether `error` is the daemon's own fault, so that its cause belongs in the log."""
    return STATUS.get(error.code, 500) == STATUS["internal_error"]


def response_of(error: PrxError) -> web.Response:
    """Return the envelope of `error`; a code that the API does not have is an `internal_error`."""
    code = error.code if error.code in STATUS else PrxError.code
    details = None if error.details is None else dict(error.details)
    body = {"error": {"code": code, "message": error.message, "details": details}}
    response = web.Response(
        body=json.dumps(body).encode(), status=STATUS[code], content_type="application/json"
    )
    if code == "unauthorized":
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, UnavailableError | RateExceededError):
        response.headers["Retry-After"] = str(error.retry_after_secs)
    return response


def of_http(error: web.HTTPException, request: web.BaseRequest) -> PrxError:
    """Translate what aiohttp itself refuses."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowedError(request.method, request.path, sorted(error.allowed_methods))
    if isinstance(error, web.HTTPNotFound):
        return NotFoundError(f"No such path: {request.path}. The API is at /api/v1")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return PayloadTooLargeError(
            "The request's body is larger than the daemon accepts; [gateway] max_body_kb sets the limit"
        )
    if 400 <= error.status < 500:  # noqa: PLR2004 - the class of client errors
        return BadRequestError(f"The request was refused: {error.reason}")
    return PrxError(error.reason)


def of_validation(error: ValidationError, part: str = "body") -> BadRequestError:
    """List every field of the request's `part` that does not fit, and why, without repeating what was sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        {
            "field": ".".join(map(str, item["loc"])) or part,
            "message": _NO_OBJECT
            if item["type"] in _NO_OBJECTS
            else item["msg"].removeprefix("Value error, "),
        }
        for item in found[:_MAX_FIELD_ERRORS]
    ]
    return BadRequestError(
        f"The request's {part} does not fit: {errors[0]['field']}: {errors[0]['message']}",
        details={"errors": errors},
    )
