"""Requests of guests through the daemon's one guarded client: `prx:host/http-outbound`, and what `wasi:http` sends."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from prx.core.egress.addresses import Address
from prx.core.egress.errors import EgressError, EgressRefusedError, EgressTimeoutError
from prx.core.egress.policy import AddressRule
from prx.core.egress.target import Target
from prx.plugins.calls import Call
from prx.plugins.placeholders import Disclosure
from prx.runtime.egress.client import PATIENT, EgressClient, Patience, Response
from prx.runtime.logging import get_logger

MAX_BODY_BYTES: Final = 1024 * 1024
# A guest that waited to the end of its own time could not even say that the server did not answer.
_SHARE_OF_THE_TIME: Final = 0.9
_PRIVATE_KEY: Final = "plugins.allow_private_targets"

_log = get_logger("plugins::http")


class Answer(NamedTuple):
    """What came back, with placeholders where it repeats secrets."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """One request of a call, under way; whoever had it sent cancels it on every path."""

    target: Target
    within_secs: float
    """How long its answer may take, from when it was sent."""
    disclosure: Disclosure
    response: "concurrent.futures.Future[Response]"

    @property
    def done(self) -> bool:
        """Whether `answer` has no need to wait."""
        return self.response.done()

    def answer(self) -> Answer:
        """Return what came back; wait for it where it is not `done`.

        Raises:
            EgressError: no answer came, in time or at all.
        """
        try:
            with _hidden(self.disclosure):
                response = self.response.result(self.within_secs)
        except TimeoutError:
            # The loop is late, or the server is and the loop was not asked first.
            raise EgressTimeoutError(
                f"{self.target.origin} did not answer within {self.within_secs:.3g} s"
            ) from None
        except concurrent.futures.CancelledError:
            raise EgressError(
                "the request was given up: its call is over, or the daemon is stopping"
            ) from None
        shown = self.disclosure.hide(response.body)
        return Answer(
            response.status,
            [
                (name, self.disclosure.hide_in(value))
                for name, value in response.headers
                if name != "content-length" or shown == response.body
            ],
            shown,
        )

    def when_done(self, tell: Callable[[], None]) -> None:
        """Call `tell` once it is `done`, on the event loop or here and now."""
        self.response.add_done_callback(lambda _: tell())

    def cancel(self) -> None:
        """Give it up, if it is still under way."""
        self.response.cancel()


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
        """Send one request for the guest and return an `http-response`.

        Raises:
            EgressRefusedError: it may not be sent, or not so many in one call.
            EgressError: no answer came, in time or at all.
            PrxError: a secret cannot be had.
        """
        sent = self.send(call, method, url, headers, body)
        try:
            with call.waking(sent.cancel):
                answer = sent.answer()
        finally:
            sent.cancel()
        return {
            "status": answer.status,
            "headers": [list(pair) for pair in answer.headers],
            "body": answer.body,
        }

    def send(
        self,
        call: Call,
        method: str,
        url: str,
        headers: Sequence[Sequence[str]],
        body: bytes | None,
        patience: Patience = PATIENT,
    ) -> Sent:
        """Begin one request of `call`, its secrets put in, within its time.

        Raises:
            EgressRefusedError: it may not be sent.
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
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        within = call.remaining_secs() * _SHARE_OF_THE_TIME
        with _hidden(disclosure):
            exchange = self._client.request(
                method,
                target.with_query(None if target.query is None else disclosure.in_query(target.query)),
                headers=[(name, disclosure.in_header(value)) for name, value in headers],
                body=None if body is None else disclosure.in_body(body, kind),
                policy=_OfCall(call, AddressRule(self._allow_private(), _PRIVATE_KEY), disclosure),
                timeout_secs=within,
                max_response_bytes=MAX_BODY_BYTES,
                patience=patience,
            )
        response = asyncio.run_coroutine_threadsafe(exchange, self._loop)
        sent = Sent(target, within, disclosure, response)
        sent.when_done(lambda: _note(call, method, sent))
        return sent


def _note(call: Call, method: str, sent: Sent) -> None:
    if not sent.response.cancelled() and sent.response.exception() is None:
        status = sent.response.result().status
        _log.debug("request", plugin=call.plugin, method=method, origin=sent.target.origin, status=status)


@contextmanager
def _hidden(disclosure: Disclosure) -> Iterator[None]:
    """Keep what was disclosed out of the errors of the block: a server's redirect may have named it."""
    try:
        yield
    except EgressError as error:
        raise type(error)(disclosure.hide_in(error.message)) from error


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
