"""What the clients of this package stand on: sessions that reach only what was checked, and errors in our own words."""

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientMiddlewareType,
    ClientOSError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    ServerDisconnectedError,
    ServerTimeoutError,
    TCPConnector,
)
from aiohttp.http import HttpProcessingError
from yarl import URL

from prx.core.egress.addresses import Address
from prx.core.egress.errors import (
    EgressBrokenError,
    EgressCertificateError,
    EgressConnectionError,
    EgressConnectTimeoutError,
    EgressError,
    EgressTimeoutError,
    EgressTlsError,
)
from prx.core.egress.target import Target
from prx.runtime.egress.resolver import PinnedResolver, pinned_host

OWN_HEADERS: Final = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")
"""The headers that aiohttp adds by itself, and is not to."""
BROKEN: Final = "the server closed the connection without an answer"
MAX_LINE_BYTES: Final = 8190
MAX_HEADERS: Final = 100


def new_connector(
    tls: ssl.SSLContext | None, max_connections: int, *, keep_secs: float | None = None
) -> TCPConnector:
    """Return what makes connections, for URLs of `pinned_url` alone.

    Args:
        tls: what certificates are trusted; the system's where it is None.
        max_connections: at the same time; further requests wait.
        keep_secs: how long a connection without a request stays open for the next one; None closes it at once.
    """
    return TCPConnector(
        resolver=PinnedResolver(),
        use_dns_cache=False,
        force_close=keep_secs is None,
        keepalive_timeout=keep_secs,
        limit=max_connections,
        ssl=tls or True,
    )


def new_session(
    tls: ssl.SSLContext | None, max_connections: int, *, middlewares: Sequence[ClientMiddlewareType] = ()
) -> ClientSession:
    """Return a session without a memory, for URLs of `pinned_url` alone, with `middlewares` around each request."""
    return ClientSession(
        connector=new_connector(tls, max_connections),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=ClientTimeout(total=None, sock_connect=None),  # who requests bounds the whole
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        max_headers=MAX_HEADERS,
        middlewares=middlewares,
    )


def check_open(session: ClientSession) -> None:
    """Refuse what comes too late.

    Raises:
        EgressError: `session` is closed.
    """
    if session.closed:
        raise EgressError("no request leaves any more: the daemon is stopping")


@lru_cache(maxsize=256)
def pinned_url(target: Target, addresses: tuple[Address, ...]) -> URL:
    """Return the URL that leads to exactly `addresses`."""
    return URL.build(
        scheme=target.scheme,
        host=pinned_host(addresses),
        port=target.port,
        path=target.path,
        query_string=target.query or "",
        encoded=True,
    )


@contextmanager
def errors_of(target: Target) -> Iterator[None]:
    """Say what failed in words of our own: aiohttp's hold the pinned host, and pieces of what the server sent."""
    try:
        yield
    except EgressError as error:
        raise type(error)(f"{target.origin}: {error.message}") from error
    except ClientConnectorCertificateError as error:
        reason = getattr(error.certificate_error, "verify_message", "it does not fit")
        raise EgressCertificateError(f"{target.origin}: its certificate is refused: {reason}") from error
    except ClientConnectorError as error:
        kind = EgressTlsError if isinstance(error.os_error, ssl.SSLError) else EgressConnectionError
        raise kind(f"{target.origin}: no connection: {_reason(error.os_error)}") from error
    except ConnectionTimeoutError as error:
        raise EgressConnectTimeoutError(f"{target.origin} took no connection in time") from error
    except ServerTimeoutError as error:
        raise EgressTimeoutError(f"{target.origin} was silent for too long") from error
    except (ClientOSError, ServerDisconnectedError) as error:
        raise EgressBrokenError(f"{target.origin}: {BROKEN}") from error
    except (ClientError, HttpProcessingError) as error:
        raise EgressBrokenError(
            f"{target.origin}: its answer is broken off or is not HTTP ({type(error).__name__})"
        ) from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    return os.strerror(error.errno) if error.errno else type(error).__name__
