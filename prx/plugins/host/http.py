"""`prx:host/http-outbound`: requests of guests, through the daemon's one guarded client."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prx.plugins.calls import Call
from prx.plugins.placeholders import Disclosure
from prx.runtime.egress.addresses import Address
from prx.runtime.egress.client import EgressClient, Response
from prx.runtime.egress.errors import EgressError, EgressRefusedError, EgressTimeoutError
from prx.runtime.egress.policy import AddressRule
from prx.runtime.egress.target import Target
from prx.runtime.logging import get_logger

MAX_BODY_BYTES: Final = 1024 * 1024
# A guest that waited to the end of its own time could not even say that the server did not answer.
_SHARE_OF_THE_TIME: Final = 0.9
_PRIVATE_KEY: Final = "plugins.allow_private_targets"

_log = get_logger("plugins::http")


class HttpOutbound:
    """Requests from the plugins' threads, sent on the event loop; each thread waits no longer than its call may."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, client: EgressClient, allow_private: Callable[[], bool]
    ) -> None:
        """Send with `client`, which lives on `loop`; `allow_private` is `plugins.allow_private_targets` now."""
        self._loop = loop
        self._client = client
        self._allow_private = allow_private

    def request(
        self, call: Call, method: str, url: str, headers: Sequence[Sequence[str]], body: bytes | None
    ) -> dict[str, Any]:
        """Send one request for the guest, its secrets put in, and return an `http-response`.

        Raises:
            EgressRefusedError: it may not be sent, or not so many in one call.
            EgressError: no answer came, in time or at all.
            PrxError: a secret cannot be had.
        """
        disclosure = call.owner.secrets.disclosure()
        target = Target.parse(url)
        # Before anything is disclosed, though the client asks again: its answer would come too late.
        call.owner.admit(target)
        if body is not None and len(body) > MAX_BODY_BYTES:
            raise EgressRefusedError(f"a body of {len(body)} bytes: at most {MAX_BODY_BYTES} are sent")
        if disclosure.named_in(target.shown):
            raise EgressRefusedError(
                "a secret is put into header values, the query and the body, not the path"
            )
        try:
            response = self._send(call, method, target, headers, body, disclosure)
        except EgressError as error:
            # A server's redirect may have named it.
            raise type(error)(disclosure.hide_in(error.message)) from error
        _log.debug("request", plugin=call.plugin, method=method, origin=target.origin, status=response.status)
        shown = disclosure.hide(response.body)
        return {
            "status": response.status,
            "headers": [
                [name, disclosure.hide_in(value)]
                for name, value in response.headers
                if name != "content-length" or shown == response.body
            ],
            "body": shown,
        }

    def _send(
        self,
        call: Call,
        method: str,
        target: Target,
        headers: Sequence[Sequence[str]],
        body: bytes | None,
        disclosure: Disclosure,
    ) -> Response:
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        within = call.remaining_secs() * _SHARE_OF_THE_TIME
        sent = asyncio.run_coroutine_threadsafe(
            self._client.request(
                method,
                target.with_query(None if target.query is None else disclosure.in_query(target.query)),
                headers=[(name, disclosure.in_header(value)) for name, value in headers],
                body=None if body is None else disclosure.in_body(body, kind),
                policy=_OfCall(call, AddressRule(self._allow_private(), _PRIVATE_KEY), disclosure),
                timeout_secs=within,
                max_response_bytes=MAX_BODY_BYTES,
            ),
            self._loop,
        )
        try:
            return sent.result(within)
        except TimeoutError:
            # The loop is late, or the server is and the loop was not asked first.
            raise EgressTimeoutError(f"{target.origin} did not answer within {within:.3g} s") from None
        except concurrent.futures.CancelledError:
            raise EgressError("the request was given up: the daemon is stopping") from None
        finally:
            sent.cancel()


@dataclass(frozen=True, slots=True)
class _OfCall:
    """The policy of one call: the plugin's allowlist, and no more requests than it may send, redirects included."""

    call: Call
    addresses: AddressRule
    disclosure: Disclosure

    def admit(self, target: Target) -> None:
        """See `Policy.admit`."""
        # A server that was sent a secret may name it in a redirect, in a spelling that nobody finds.
        self.call.owner.admit(target, note=not self.disclosure.disclosed)
        most = self.call.limits.max_http_requests
        if self.call.http_requests >= most:
            raise EgressRefusedError(
                f"a call may send {most} requests, redirects included (max_http_requests)"
            )
        self.call.http_requests += 1

    def admit_address(self, target: Target, address: Address) -> None:
        """See `Policy.admit_address`."""
        self.addresses.admit_address(target, address)
