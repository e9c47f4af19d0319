"""The HTTP client for requests on behalf of others."""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from aiohttp import (
    ClientConnectorError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientTimeout,
    ServerDisconnectedError,
)

from prx.core.egress.errors import (
    EgressBrokenError,
    EgressRefusedError,
    EgressTimeoutError,
)
from prx.core.egress.policy import Policy
from prx.core.egress.target import Target
from prx.runtime.egress.body import BoundedBody
from prx.runtime.egress.headers import (
    Headers,
    checked_headers,
    checked_method,
    received_headers,
    with_own_headers,
    without_body_headers,
    without_credentials,
)
from prx.runtime.egress.resolver import Names, SystemNames, checked_addresses
from prx.runtime.egress.session import BROKEN, OWN_HEADERS, check_open, errors_of, new_session, pinned_url

_MAX_CONNECTIONS: Final = 100
_MAX_REDIRECTS: Final = 5
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
    is what is used. The environment's proxies are not used, and no cookies are kept.
    """

    def __init__(
        self,
        names: Names | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = _MAX_CONNECTIONS,
    ) -> None:
        """Belong to the running event loop until `aclose`.

        Args:
            names: where names are looked up; the system's resolver by default.
            tls: what certificates are trusted; the system's by default.
            max_connections: at the same time; further requests wait.
        """
        self._system_names = SystemNames()
        self._names = names or self._system_names
        self._session = new_session(tls, max_connections, middlewares=(_translated,))

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

    async def _exchange(
        self, request: _Request, policy: Policy, max_response_bytes: int, patience: Patience
    ) -> Response:
        """Send `request` and read its answer; follow nothing."""
        target = request.target
        policy.admit(target)
        check_open(self._session)
        addresses = await checked_addresses(target, self._names, policy)
        check_open(self._session)  # the lookup took its time
        url = pinned_url(target, tuple(addresses))
        with errors_of(target):
            response = await self._session.request(
                request.method,
                url,
                headers=with_own_headers(request.headers, target),
                data=request.body,
                skip_auto_headers=OWN_HEADERS,
                server_hostname=str(target.host),
                allow_redirects=False,
                timeout=ClientTimeout(
                    total=None, sock_connect=patience.connect, sock_read=patience.first_byte
                ),
            )
            try:
                _wait_for_more(response, patience)
                return await _read(response, target, max_response_bytes)
            finally:
                response.close()


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
        raise EgressBrokenError(BROKEN) from error
