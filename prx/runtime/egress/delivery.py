"""The HTTP client for deliveries: many small posts to the same few receivers, of which only the status matters.

It stands on aiohttp's connections and its parser of answers, without the session around them: that takes several times
as long as the post itself, and passes the event loop more often, which beside a busy API is what a delivery waits for.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self
from weakref import WeakSet

from aiohttp import ClientError, ClientRequest, ClientTimeout, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from prx.core.egress.addresses import Address
from prx.core.egress.errors import EgressBrokenError, EgressError, EgressTimeoutError
from prx.core.egress.policy import Policy
from prx.core.egress.target import Target
from prx.runtime.egress.body import BoundedBody
from prx.runtime.egress.headers import Headers, with_own_headers
from prx.runtime.egress.resolver import Names, checked_addresses
from prx.runtime.egress.session import (
    BROKEN,
    MAX_HEADERS,
    MAX_LINE_BYTES,
    errors_of,
    new_connector,
    pinned_url,
)

_KEEP_SECS: Final = 4.0
"""Less than after what most servers close a connection themselves."""
_NO_TIMEOUT: Final = ClientTimeout(total=None, sock_connect=None)  # `deliver` bounds the whole
_INTERIM: Final = frozenset(range(100, 200)) - {101}
"""Statuses after which the answer itself is still to come."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receiver answered."""

    status: int
    retry_after: str | None
    """The header of this name."""
    beginning: bytes
    """Of the answer's body, decompressed."""


class DeliveryClient:
    """Posts to checked addresses, and keeps connections for the next delivery to the same name at the same addresses.

    The environment's proxies are not used, and no cookies are kept.
    """

    def __init__(
        self,
        names: Names,
        *,
        max_connections: int,
        tls: ssl.SSLContext | None = None,
        keep_secs: float = _KEEP_SECS,
    ) -> None:
        """Belong to the running event loop until the block ends; see `new_connector` for the arguments."""
        self._names = names
        self._connector = new_connector(tls, max_connections, keep_secs=keep_secs)
        self._used = WeakSet[ResponseHandler]()
        """The connections over which something was sent."""
        self._way = lru_cache(maxsize=256)(_way)

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection, those that are in use too."""
        await self._connector.close()

    async def deliver(
        self,
        target: Target,
        body: bytes,
        *,
        headers: Headers,
        policy: Policy,
        timeout_secs: float,
        max_response_bytes: int,
    ) -> Receipt:
        """Post `body`. The status counts, whatever becomes of the body of the answer.

        A redirect is an answer like another one: nothing is sent to where it leads. The answer's body ends at
        `max_response_bytes`, or where it breaks off, stalls or is not what its coding says.

        Args:
            target: where to.
            body: what is posted.
            headers: the caller's own; they are sent as they are.
            policy: what may be reached.
            timeout_secs: for everything together, the lookup of the name included.
            max_response_bytes: how much of the answer's body is read.

        Raises:
            EgressRefusedError: `policy` does not allow it.
            EgressTimeoutError: no status came within `timeout_secs`.
            EgressError: the name, the connection or the server failed.
        """
        delivery = _Delivery(target, _request(target, headers, body), policy, max_response_bytes)
        try:
            async with asyncio.timeout(timeout_secs):
                try:
                    return await self._attempt(delivery)
                except EgressBrokenError:
                    if not delivery.over_kept_connection:
                        raise
                # The receiver may have closed the connection before the request came.
                return await self._attempt(delivery)
        except TimeoutError:
            if delivery.answered is not None:
                return delivery.answered
            raise EgressTimeoutError(f"{target.origin} did not answer within {timeout_secs:.3g} s") from None

    async def _attempt(self, delivery: "_Delivery") -> Receipt:
        target, policy = delivery.target, delivery.policy
        policy.admit(target)
        addresses = await checked_addresses(target, self._names, policy)
        if self._connector.closed:
            raise EgressError("no request leaves any more: the daemon is stopping")
        with errors_of(target):
            connection = await self._connector.connect(self._way(target, tuple(addresses)), [], _NO_TIMEOUT)
            try:
                receipt = await self._exchange(delivery, connection)
            except BaseException:
                connection.close()
                raise
            connection.release()  # which closes one whose answer is not over
            return receipt

    async def _exchange(self, delivery: "_Delivery", connection: Connection) -> Receipt:
        """Send the request and read its answer."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise EgressBrokenError(BROKEN)
        delivery.over_kept_connection = protocol in self._used
        self._used.add(protocol)
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
        )
        transport.write(delivery.request)
        message, content = await protocol.read()
        while message.code in _INTERIM:
            message, content = await protocol.read()
        after = message.headers.get("Retry-After")
        delivery.answered = Receipt(message.code, after, b"")
        coding = message.headers.get("Content-Encoding", "").strip().lower()
        return Receipt(message.code, after, await _beginning(content, coding, delivery.max_response_bytes))


@dataclass(slots=True)
class _Delivery:
    """One delivery under way."""

    target: Target
    request: bytes
    policy: Policy
    max_response_bytes: int
    over_kept_connection: bool = False
    """Whether it was sent over a connection that another delivery was sent over before."""
    answered: Receipt | None = None
    """The answer already without its body, which may never end."""


def _request(target: Target, headers: Headers, body: bytes) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (
        _head(target),
        "".join(lines).encode("ascii"),
        len(body),
        body,
    )


@lru_cache(maxsize=256)
def _head(target: Target) -> bytes:
    """Return the lines that all requests to `target` begin with."""
    place = target.path if target.query is None else f"{target.path}?{target.query}"
    own = (f"{name}: {value}\r\n" for name, value in with_own_headers((), target))
    return f"POST {place} HTTP/1.1\r\n{''.join(own)}".encode("ascii")


def _way(target: Target, addresses: tuple[Address, ...]) -> ClientRequest:
    """Return what the connector knows a way to `target` by, and makes a connection from."""
    return ClientRequest("POST", pinned_url(target, addresses), server_hostname=str(target.host))


async def _beginning(content: StreamReader, coding: str, max_bytes: int) -> bytes:
    """Return up to `max_bytes` of a body; what comes after them, or after a fault in it, is not read."""
    if content.at_eof():
        return b""
    try:
        body = BoundedBody(coding, max_bytes)
    except EgressError:  # a coding that nobody asked for
        return b""
    room = max_bytes
    with suppress(EgressError, ClientError):
        while room and (chunk := await content.read(room)):
            room -= len(chunk)
            body.add(chunk)
    return body.beginning()
