"""The HTTP client for deliveries: many small posts to the same few receivers, of which only the status matters."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Final, Self

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    TraceConfig,
    TraceConnectionReuseconnParams,
)

from prx.core.egress.errors import EgressBrokenError, EgressError, EgressTimeoutError
from prx.core.egress.policy import Policy
from prx.core.egress.target import Target
from prx.runtime.egress.body import BoundedBody
from prx.runtime.egress.headers import Headers, checked_headers, with_own_headers
from prx.runtime.egress.resolver import Names, checked_addresses
from prx.runtime.egress.session import OWN_HEADERS, check_open, errors_of, new_session, pinned_url

_KEEP_SECS: Final = 4.0
"""Less than after what most servers close a connection themselves."""


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
        """Belong to the running event loop until the block ends; see `new_session` for the arguments."""
        self._names = names
        self._session = new_session(
            tls, max_connections, keep_secs=keep_secs, traces=[_noting_kept_connections()]
        )

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut off what is under way and close every connection."""
        await self._session.close()

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
        delivery = _Delivery(target, body, headers, policy, max_response_bytes)
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
        check_open(self._session)
        with errors_of(target):
            async with self._session.post(
                pinned_url(target, tuple(addresses)),
                headers=[*_own_headers(target), *delivery.headers],
                data=delivery.body,
                skip_auto_headers=OWN_HEADERS,
                server_hostname=str(target.host),
                allow_redirects=False,
                trace_request_ctx=delivery,
            ) as response:
                after = response.headers.get("Retry-After")
                delivery.answered = Receipt(response.status, after, b"")
                beginning = await _beginning(response, delivery.max_response_bytes)
                response.close()
                return Receipt(response.status, after, beginning)


@dataclass(slots=True)
class _Delivery:
    """One delivery under way."""

    target: Target
    body: bytes
    headers: Headers
    policy: Policy
    max_response_bytes: int
    over_kept_connection: bool = False
    """Whether it was sent over a connection that another delivery was sent over before."""
    answered: Receipt | None = None
    """The answer already without its body, which may never end."""


@lru_cache(maxsize=256)
def _own_headers(target: Target) -> Headers:
    return with_own_headers(checked_headers((), target), target)


def _noting_kept_connections() -> TraceConfig:
    async def note(
        _session: ClientSession, context: SimpleNamespace, _parameters: TraceConnectionReuseconnParams
    ) -> None:
        context.trace_request_ctx.over_kept_connection = True

    config = TraceConfig()
    config.on_connection_reuseconn.append(note)
    return config


async def _beginning(response: ClientResponse, max_bytes: int) -> bytes:
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
