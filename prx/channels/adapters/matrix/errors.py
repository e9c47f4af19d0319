"""What a homeserver refuses, and what the library raises, in the words of the contract."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from aiohttp import ClientConnectorDNSError, ClientConnectorError, ClientError, ClientResponseError
from nio import ErrorResponse, LocalProtocolError
from peewee import PeeweeException

from prx.channels.reach import unreachable
from prx.core.channel_errors import AuthenticationError, ThrottledError, UndeliverableError
from prx.core.errors import PrxError, UnavailableError

R = TypeVar("R")

_UNKNOWN: Final = frozenset({"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED"})
_NEVER: Final = frozenset({"M_FORBIDDEN", "M_TOO_LARGE", "M_NOT_FOUND", "M_BAD_JSON", "M_INVALID_PARAM"})
_USUAL_PAUSE_MS: Final = 5000


def refusal(error: ErrorResponse) -> PrxError:
    """Return the error that a refusal of the homeserver is."""
    if not error.status_code:
        answer = getattr(error.transport_response, "status", "something")
        return UnavailableError(f"what answers is no homeserver: it says {answer}; check the address")
    words = f"{error.status_code}: {error.message}"
    if error.status_code == "M_LIMIT_EXCEEDED":
        secs = (error.retry_after_ms or _USUAL_PAUSE_MS) / 1000
        return ThrottledError(f"the homeserver wants a pause of {secs:g} s", retry_after_secs=secs)
    if error.status_code in _UNKNOWN:
        return AuthenticationError(f"the homeserver does not know the session: {words}")
    if error.status_code in _NEVER:
        return UndeliverableError(f"the homeserver refuses: {words}")
    return UnavailableError(f"the homeserver answers {words}")


def login_refusal(error: ErrorResponse) -> PrxError:
    """Return the error that a refused login is."""
    if error.status_code in ("M_FORBIDDEN", "M_INVALID_USERNAME", "M_USER_DEACTIVATED"):
        return AuthenticationError(
            f"the homeserver refuses the login: {error.message}; check user and password"
        )
    return refusal(error)


def accepted(response: R | ErrorResponse) -> R:
    """Return what the homeserver answered, where that is no refusal; else raise it."""
    if isinstance(response, ErrorResponse):
        raise refusal(response)
    return response


@contextmanager
def translated(homeserver: str) -> Iterator[None]:
    """Have what the library raises be errors of the contract."""
    try:
        yield
    except ClientConnectorError as error:
        parts = urlsplit(homeserver)
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        raise unreachable(parts.hostname or "", port, _cause(error), tls=is_tls) from error
    except TimeoutError as error:
        raise UnavailableError(f"{homeserver} did not answer in time") from error
    except ClientResponseError as error:
        raise UnavailableError(
            f"what answers at {homeserver} does not speak HTTP: check the address"
        ) from error
    except ClientError as error:
        raise UnavailableError(
            f"the connection to the homeserver broke: {error or type(error).__name__}"
        ) from error
    except (sqlite3.Error, PeeweeException) as error:
        raise UnavailableError(f"the keys of encrypted rooms cannot be kept: {error}") from error
    except LocalProtocolError as error:
        raise UndeliverableError(f"it cannot be said there: {error}") from error


def _cause(error: ClientConnectorError) -> BaseException:
    if isinstance(error, ClientConnectorDNSError):
        return gaierror(0, error.os_error.strerror)
    found: Any = getattr(error, "certificate_error", None)  # a wrong certificate has its own place
    return found if isinstance(found, BaseException) else error.os_error
