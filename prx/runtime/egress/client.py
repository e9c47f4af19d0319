"""The one HTTP client for requests on behalf of others: plugins and webhooks."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    ServerDisconnectedError,
    ServerTimeoutError,
    TCPConnector,
)
from yarl import URL

from prx.runtime.egress.body import BoundedBody
from prx.runtime.egress.connections import UsedConnection, noting_kept_connections
from prx.runtime.egress.errors import (
    EgressBrokenError,
    EgressCertificateError,
    EgressConnectionError,
    EgressConnectTimeoutError,
    EgressError,
    EgressRefusedError,
    EgressTimeoutError,
    EgressTlsError,
)
from prx.runtime.egress.headers import (
    Headers,
    checked_headers,
    checked_method,
    received_headers,
    with_own_headers,
    without_body_headers,
    without_credentials,
)
from prx.runtime.egress.policy import Policy
from prx.runtime.egress.resolver import Names, PinnedResolver, SystemNames, checked_addresses, pinned_host
from prx.runtime.egress.target import Target

_MAX_CONNECTIONS: Final = 100
_MAX_REDIRECTS: Final = 5
_MAX_LINE_BYTES: Final = 8190
_MAX_HEADERS: Final = 100
_BODILESS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer, whatever its status."""

    status: int
    headers: list[tuple[str, str]]
    """In order, names in lower case, without those of the connection."""
    body: bytes
    """Decompressed."""
    target: Target
    """What answered, after redirects."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one exchange waits for what, in seconds, where the time for the whole allows more; `None` is as long."""

    connect: float | None = None
    first_byte: float | None = None
    between_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: Target
    headers: Headers
    body: bytes | None

    def redirected(self, status: int, location: str) -> "_Request":
        """Return the request that the redirect asks for, with nothing in it that is not for its new origin."""
        target = self.target.follow(location)
        method, headers, body = self.method, self.headers, self.body
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):  # noqa: PLR2004
            method, headers, body = "GET", without_body_headers(headers), None
        if target.origin != self.target.origin:
            headers = without_credentials(headers)
            if body is not None:
                raise EgressRefusedError(
                    f"{self.target.shown} redirects to {target.origin} and wants the body sent there: "
                    "a body is only sent to the origin it was meant for; use the new URL itself"
                )
        return _Request(method, target, headers, body)


PATIENT: Final = Patience()
"""Until the time for the whole is over."""


class EgressClient:
    """Sends checked requests, on one connection each.

    A connection is not used again: nobody inherits what another's request has done to it, and what was checked
    is what is used. With `keep_secs` it is, for the same name at the same checked addresses: for a caller that sends
    its own requests alone. The environment's proxies are not used, and no cookies are kept.
    """

    def __init__(
        self,
        names: Names | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = _MAX_CONNECTIONS,
        keep_secs: float | None = None,
    ) -> None:
        """Belong to the running event loop until `aclose`.

        Args:
            names: where names are looked up; the system's resolver by default.
            tls: what certificates are trusted; the system's by default.
            max_connections: at the same time; further requests wait.
            keep_secs: how long a connection without a request stays open for the next one; None closes it at once.
        """
        self._system_names = SystemNames()
        self._names = names or self._system_names
        connector = TCPConnector(
            resolver=PinnedResolver(),
            use_dns_cache=False,
            force_close=keep_secs is None,
            keepalive_timeout=keep_secs,
            limit=max_connections,
            ssl=tls or True,
        )
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=ClientTimeout(total=None, sock_connect=None),  # `request` bounds the whole
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
            middlewares=(_translated,),
            trace_configs=[] if keep_secs is None else [noting_kept_connections()],
        )

    async def aclose(self) -> None:
        """Cut off what is under way and close every connection."""
        await self._session.close()
        self._system_names.close()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    async def request(  # noqa: PLR0913  # what is asked for, and its limits by name
        self,
        method: str,
        target: Target,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        policy: Policy,
        timeout_secs: float,
        max_response_bytes: int,
        max_redirects: int = _MAX_REDIRECTS,
        patience: Patience = PATIENT,
    ) -> Response:
        """Send one request and return its answer, after redirects, each checked as the first request is.

        To another origin, a redirect takes neither the body nor a header that may be a credential. `timeout_secs`
        is for everything together, lookups and redirects included; `max_response_bytes` bounds the body as it
        comes and as it is decompressed. `patience` can end a wait earlier, in each exchange anew.

        Raises:
            EgressRefusedError: `policy` or the client's own rules do not allow it, or a redirect.
            EgressTimeoutError: it took longer than `timeout_secs`.
            EgressTooLargeError: the answer is larger than `max_response_bytes`.
            EgressError: the name, the connection or the server failed.
        """
        request = _Request(checked_method(method), target, checked_headers(headers, target), body)
        try:
            async with asyncio.timeout(timeout_secs):
                for _ in range(max_redirects + 1):
                    response = await self._exchange(request, policy, max_response_bytes, patience)
                    location = _location(response)
                    if location is None:
                        return response
                    request = request.redirected(response.status, location)
        except TimeoutError:
            raise EgressTimeoutError(
                f"{request.target.origin} did not answer within {timeout_secs:.3g} s"
            ) from None
        raise EgressRefusedError(
            f"{target.shown} leads to more than {max_redirects} redirects: use the last URL"
        )

    async def deliver(
        self,
        target: Target,
        body: bytes,
        *,
        headers: Iterable[tuple[str, str]],
        policy: Policy,
        timeout_secs: float,
        max_response_bytes: int,
    ) -> Response:
        """Post `body` where only the status matters, whatever becomes of the body of the answer.

        A redirect is an answer like another one: nothing is sent to where it leads. The answer's body ends at
        `max_response_bytes`, or where it breaks off, stalls or is not what its coding says.

        Raises:
            EgressRefusedError: `policy` or the client's own rules do not allow it.
            EgressTimeoutError: no status came within `timeout_secs`.
            EgressError: the name, the connection or the server failed.
        """
        request = _Request("POST", target, checked_headers(headers, target), body)
        answered: list[Response] = []
        connection = UsedConnection()

        async def attempt() -> Response:
            async with self._answer(request, policy, PATIENT, connection) as response:
                # Already without the body: should it never end, this is the answer.
                answered.append(_without_body(response, target))
                return replace(answered[0], body=await _read_beginning(response, max_response_bytes))

        try:
            async with asyncio.timeout(timeout_secs):
                try:
                    return await attempt()
                except EgressBrokenError:
                    if not connection.was_kept or answered:
                        raise
                # The receiver may have closed a connection that was kept before the request came.
                return await attempt()
        except TimeoutError:
            if answered:
                return answered[0]
            raise EgressTimeoutError(f"{target.origin} did not answer within {timeout_secs:.3g} s") from None

    async def _exchange(
        self, request: _Request, policy: Policy, max_response_bytes: int, patience: Patience
    ) -> Response:
        """Send `request` and read its answer; follow nothing."""
        async with self._answer(request, policy, patience) as response:
            return await _read(response, request.target, max_response_bytes)

    @asynccontextmanager
    async def _answer(
        self,
        request: _Request,
        policy: Policy,
        patience: Patience,
        connection: UsedConnection | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Send `request`; what is yielded has its status and headers, its body is still to be read.

        `connection` is told what it was sent over.
        """
        target = request.target
        policy.admit(target)
        self._check_open()
        addresses = await checked_addresses(target, self._names, policy)
        self._check_open()  # the lookup took its time
        url = URL.build(
            scheme=target.scheme,
            host=pinned_host(addresses),
            port=target.port,
            path=target.path,
            query_string=target.query or "",
            encoded=True,
        )
        with _errors_of(target):
            response = await self._session.request(
                request.method,
                url,
                headers=with_own_headers(request.headers, target),
                data=request.body,
                skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
                server_hostname=str(target.host),
                allow_redirects=False,
                trace_request_ctx=connection,
                timeout=ClientTimeout(
                    total=None, sock_connect=patience.connect, sock_read=patience.first_byte
                ),
            )
            try:
                _wait_for_more(response, patience)
                yield response
            finally:
                response.close()

    def _check_open(self) -> None:
        if self._session.closed:
            raise EgressError("no request leaves any more: the daemon is stopping")


def _wait_for_more(response: ClientResponse, patience: Patience) -> None:
    # The first byte has come: from here on another wait counts. A small answer has left its connection already.
    protocol = response.connection.protocol if response.connection is not None else None
    if protocol is not None and patience is not PATIENT:
        protocol.read_timeout = patience.between_bytes
        protocol.start_timeout()


async def _read(response: ClientResponse, target: Target, max_bytes: int) -> Response:
    body = BoundedBody(response.headers.get("Content-Encoding", "").strip().lower(), max_bytes)
    headers = received_headers(response.raw_headers, decoded=body.compressed)
    async for chunk in response.content.iter_any():
        body.add(chunk)
    return Response(response.status, headers, body.finish(), target)


def _without_body(response: ClientResponse, target: Target) -> Response:
    return Response(response.status, received_headers(response.raw_headers, decoded=True), b"", target)


async def _read_beginning(response: ClientResponse, max_bytes: int) -> bytes:
    """Return up to `max_bytes` of the body; what comes after them, or after a fault in it, is not read."""
    try:
        body = BoundedBody(response.headers.get("Content-Encoding", "").strip().lower(), max_bytes)
    except EgressError:  # a coding that nobody asked for
        return b""
    room = max_bytes
    with suppress(EgressError, ClientError):
        while room and (chunk := await response.content.read(room)):
            room -= len(chunk)
            body.add(chunk)
    return body.beginning()


def _location(response: Response) -> str | None:
    if response.status not in (301, 302, 303, 307, 308):
        return None
    return next((value for name, value in response.headers if name == "location"), None)


async def _translated(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    # aiohttp sends an idempotent request a second time, uncounted, when the connection breaks; an error that is
    # not its own ends it.
    try:
        return await handler(request)
    except ClientConnectorError:
        raise
    except (ClientOSError, ServerDisconnectedError) as error:
        raise EgressBrokenError("the server closed the connection without an answer") from error


@contextmanager
def _errors_of(target: Target) -> Iterator[None]:
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
    except ClientError as error:
        raise EgressBrokenError(
            f"{target.origin}: its answer is broken off or is not HTTP ({type(error).__name__})"
        ) from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    return os.strerror(error.errno) if error.errno else type(error).__name__
