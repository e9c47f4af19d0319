"""The way from `prx mcp serve` to the daemon: it finds the daemon anew, with a new token, whenever it has to."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from prx.api.tokens import TokenStore
from prx.cli.client import unreachable
from prx.cli.context import load_config, running_daemon
from prx.cli.exit_codes import DaemonDownError
from prx.cli.mcp.messages import is_protocol_error, refusal
from prx.core.errors import NotFoundError

TOKEN_NAME: Final = "prx mcp serve"  # noqa: S105  # what the list shows
_SCOPES: Final = ["tools:read", "tools:write"]
# A bridge that is killed leaves its token behind; one that lives longer gets another when this one is refused.
_TOKEN_LIFE: Final = timedelta(days=1)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # compared, not bound
SESSION: Final = "Mcp-Session-Id"
_ACCEPT: Final = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class UnreachableError(DaemonDownError):
    """Nothing was sent: there is nobody to send it to."""


class LostSessionError(Exception):
    """The daemon knows the session, or the token, no more: it did not act on the request."""


class BusyError(Exception):
    """The daemon did not act on the request, and asks to come back later."""

    def __init__(self, reason: str, secs: float) -> None:
        """Keep the daemon's reason, and after how many seconds it will listen."""
        super().__init__(reason)
        self.reason = reason
        self.secs = secs


class Link:
    """A token and a connection pool. Entered once; `renew` begins it afresh."""

    def __init__(self) -> None:
        """Know no daemon yet."""
        self._tokens: TokenStore | None = None
        self._token_id: str | None = None
        self._secret = ""
        self._url = ""
        self._pin: aiohttp.Fingerprint | bool = True
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, read_bufsize=_MAX_LINE_BYTES)
        return self

    async def __aexit__(self, *_failure: object) -> None:
        """Close the pool, and revoke the token."""
        assert self._session is not None  # noqa: S101  # tells the type
        await self._session.close()
        self._revoke()

    def renew(self) -> None:
        """Find the daemon that runs now, and make a token for it.

        Raises:
            DaemonDownError: none runs; says how to start it.
        """
        self._revoke()
        running = running_daemon()
        if running is None:
            raise unreachable(load_config().daemon.data_dir)
        address = urlsplit(running.address.url)
        host = address.hostname or ""
        shown = _ANYWHERE.get(host, f"[{host}]" if ":" in host else host)
        self._url = f"{address.scheme}://{shown}:{address.port}/mcp"
        certificate = running.address.certificate
        self._pin = True if certificate is None else aiohttp.Fingerprint(bytes.fromhex(certificate))
        self._tokens = TokenStore(running.data_dir)
        self._secret, token = self._tokens.create(TOKEN_NAME, scopes=_SCOPES, expires_in=_TOKEN_LIFE)
        self._token_id = token.id

    @asynccontextmanager
    async def request(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request for the length of the block. An error of JSON-RPC is an answer like another.

        Raises:
            UnreachableError: there is nobody.
            LostSessionError, BusyError: the daemon did not act on it.
            DaemonDownError: the daemon refuses, or the connection was lost.
        """
        assert self._session is not None  # noqa: S101  # tells the type
        sent = {**_ACCEPT, **headers, "Authorization": f"Bearer {self._secret}"}
        try:
            async with self._session.request(
                method, self._url, data=body, headers=sent, ssl=self._pin
            ) as response:
                await _check(response, in_session=SESSION in headers)
                yield response
        except aiohttp.ClientConnectorError as error:
            raise UnreachableError(f"the daemon at {self._url} does not answer: {error}") from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise DaemonDownError(f"the daemon at {self._url} does not answer: {error}") from error

    def _revoke(self) -> None:
        if self._tokens is not None and self._token_id is not None:
            with suppress(NotFoundError):  # somebody was quicker
                self._tokens.revoke(self._token_id)
        self._token_id = None


async def _check(response: aiohttp.ClientResponse, *, in_session: bool) -> None:
    status = response.status
    if status < HTTPStatus.BAD_REQUEST:
        return
    body = await response.read()
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.NOT_FOUND and in_session):
        raise LostSessionError(refusal(body, status))
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        raise BusyError(refusal(body, status), float(response.headers.get("Retry-After", 1)))
    if not is_protocol_error(body):
        raise DaemonDownError(refusal(body, status))
