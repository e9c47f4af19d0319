"""One XMPP stream: connected once, never by itself again, and closed on every path."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import gaierror
from typing import Any, Final

from slixmpp import ClientXMPP

from prx.channels.reach import tls_context, unreachable
from prx.config.platforms.xmpp import XmppConfig
from prx.core.channel_errors import AccountInUseError, AuthenticationError
from prx.core.errors import PrxError, UnavailableError

_LOGIN_SECS: Final = 20.0
_CLOSE_SECS: Final = 1.0
_NO_RECORD: Final = "No DNS record"
_PLUGINS: Final = ("xep_0030", "xep_0045", "xep_0085", "xep_0199", "xep_0203", "xep_0308", "xep_0359")


class Stream(ClientXMPP):
    """A client that tells `ended` why its only connection was not made, or is over."""

    def __init__(self, config: XmppConfig, resource: str) -> None:
        """Connect to nothing yet; `ended` comes to a `PrxError`."""
        super().__init__(f"{config.jid}/{resource}", config.password.get_secret_value())
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[Any] = loop.create_future()
        """Done once the session began."""
        self.ended: asyncio.Future[Any] = loop.create_future()
        self.is_silent = False
        """Whether the server owes an answer, so that its goodbye is not waited for either."""
        self._where = (config.host or config.jid.partition("@")[2], config.port)
        self.whitespace_keepalive = False
        self.enable_direct_tls = config.host is None or config.direct_tls
        self.enable_starttls = config.host is None or not config.direct_tls
        self.enable_plaintext = False
        for plugin in _PLUGINS:
            self.register_plugin(plugin)
        for event, handler in (
            ("session_start", self._began),
            ("failed_auth", self._not_let_in),
            ("failed_all_auth", self._unknown),
            ("connection_failed", self._unreached),
            ("ssl_invalid_chain", self._unreached),
            ("stream_error", self._refused),
            ("disconnected", self._left),
        ):
            self.add_event_handler(event, handler)

    def peer(self) -> tuple[str, int] | None:
        """Return the address that it is connected to; None while it is not."""
        address = None if self.transport is None else self.transport.get_extra_info("peername")
        return None if address is None else (address[0], address[1])

    def end(self, error: PrxError) -> None:
        """Have it be over for this reason, unless it is already."""
        if not self.ended.done():
            self.ended.set_result(error)

    def _began(self, _event: Any) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def _not_let_in(self, failure: Any) -> None:
        # Whatever else it is, another way to log in may be tried: only when there is none is it over.
        if failure["condition"] == "temporary-auth-failure":
            self.end(UnavailableError("the server cannot check logins now"))

    def _unknown(self, _event: Any) -> None:
        self.end(AuthenticationError("the server refuses the login: check jid and password"))

    def _unreached(self, error: Any) -> None:
        cause = error
        if not isinstance(
            error, BaseException
        ):  # the library's words, which name the domain whatever was looked up
            words = str(error)
            cause = gaierror(0, "it is not in the DNS") if words.startswith(_NO_RECORD) else OSError(words)
        self.end(unreachable(*self._where, cause, tls=self.enable_direct_tls and not self.enable_starttls))

    def _refused(self, error: Any) -> None:
        condition, text = error["condition"], error["text"]
        if condition == "conflict":
            self.end(AccountInUseError("another client connected under the same resource"))
        else:
            self.end(UnavailableError(f"the server ended the stream: {condition} {text}".rstrip()))

    def _left(self, reason: Any) -> None:
        if isinstance(reason, ssl.SSLError):
            self._unreached(reason)
        self.end(UnavailableError(f"the server closed the connection{f': {reason}' if reason else ''}"))


@asynccontextmanager
async def logged_in(config: XmppConfig, resource: str) -> AsyncIterator[Stream]:
    """Be logged in for the length of the block.

    Raises:
        AuthenticationError: the server does not know account or password.
        UnavailableError: it cannot be reached.
    """
    context = await tls_context(config.tls_ca)
    stream = Stream(config, resource)
    stream.ssl_context = context
    try:
        stream.connect(config.host, config.port if config.host is not None else None)
        async with asyncio.timeout(_LOGIN_SECS):
            await asyncio.wait([stream.ready, stream.ended], return_when=asyncio.FIRST_COMPLETED)
        if stream.ended.done():
            raise stream.ended.result()
        yield stream
    except TimeoutError as error:
        raise UnavailableError(f"the server did not let the bot in within {_LOGIN_SECS:g} s") from error
    finally:
        await _close(stream)


async def _close(stream: Stream) -> None:
    stream.cancel_connection_attempt()
    if stream.transport is not None:
        await stream.disconnect(wait=0 if stream.is_silent else _CLOSE_SECS, ignore_send_queue=True)
    stream.abort()
    filters = stream._run_out_filters  # noqa: SLF001  # a task that the library leaves to its destructor
    if filters is not None:
        filters.cancel()
        await asyncio.gather(filters, return_exceptions=True)
