"""From the tree of errors to HTTP."""

import json

import pytest

from prx.api.errors import (
    InternalError,
    MethodNotAllowedError,
    PayloadTooLargeError,
    RateExceededError,
    UnsupportedMediaTypeError,
    is_internal,
    response_of,
)
from prx.core.errors import (
    BadRequestError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    PrxError,
    UnauthorizedError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadRequestError("m"), 400, "bad_request"),
        (UnauthorizedError("m"), 401, "unauthorized"),
        (ForbiddenError("m"), 403, "forbidden"),
        (NotFoundError("m"), 404, "not_found"),
        (MethodNotAllowedError("PUT", "/x", ["GET", "HEAD"]), 405, "method_not_allowed"),
        (ConflictError("m"), 409, "conflict"),
        (PayloadTooLargeError("m"), 413, "payload_too_large"),
        (UnsupportedMediaTypeError("m"), 415, "unsupported_media_type"),
        (RateExceededError(30, "other", 1), 429, "rate_limited"),
        (InternalError("req_1"), 500, "internal_error"),
        (PrxError("m"), 500, "internal_error"),
        (ConfigError("m"), 500, "internal_error"),
        (PermanentError("m"), 500, "internal_error"),
        (UnavailableError("m"), 503, "unavailable"),
    ],
)
def test_each_error_has_its_status_and_code(error: PrxError, status: int, code: str) -> None:
    response = response_of(error)
    assert response.status == status
    assert json.loads(response.body) == {
        "error": {"code": code, "message": str(error), "details": error.details}
    }
    assert is_internal(error) == (status == 500)


def test_details_are_passed_on_as_an_object() -> None:
    response = response_of(ConflictError("taken", details={"holder": "plugin:dice"}))
    assert json.loads(response.body)["error"]["details"] == {"holder": "plugin:dice"}


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (UnauthorizedError("m"), "WWW-Authenticate", "Bearer"),
        (MethodNotAllowedError("PUT", "/x", ["GET", "HEAD"]), "Allow", "GET, HEAD"),
        (RateExceededError(30, "other", 1), "Retry-After", "1"),
        (UnavailableError("m", retry_after_secs=9), "Retry-After", "9"),
    ],
)
def test_some_errors_bring_a_header(error: PrxError, header: str, value: str) -> None:
    assert response_of(error).headers[header] == value


def test_a_message_with_half_a_character_still_gets_out() -> None:
    assert json.loads(response_of(NotFoundError('Tool "\udc80"')).body)["error"]["message"] == 'Tool "\udc80"'
