"""The token that one connection to a server sends, and how another is had, by one flight for all requests at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

import httpx2
import mcp_types
from mcp.client.auth.utils import extract_field_from_www_auth, extract_scope_from_www_auth

from prx.config.integrations import McpServerConfig
from prx.core.errors import PrxError, UnavailableError
from prx.core.text import printable
from prx.core.upstream import UpstreamError
from prx.mcp.client.oauth.discovery import discover, knock
from prx.mcp.client.oauth.grants import (
    GrantRefusedError,
    client_credentials,
    configured_client,
    refresh,
)
from prx.mcp.client.oauth.logins import (
    Login,
    LoginFile,
    NeedsLoginError,
    has_own_authorization,
    login_command,
    remedy,
)
from prx.mcp.client.oauth.web import browsing
from prx.mcp.client.tls import tls_context
from prx.runtime.logging import get_logger

_UNAUTHORIZED, _FORBIDDEN = 401, 403
_LAST_FLIGHT_SECS: Final = 5.0
_EARLY_PAUSE_SECS: Final = 10.0
_MAX_QUOTED: Final = 200

_log = get_logger("mcp")

Attempt = Callable[[Mapping[str, str]], Awaitable[httpx2.Response]]
"""Sends a request with these headers; the body of the answer is still to be read."""


class Bearer:
    """Who a connection is at its server. Without a login it sends nothing, and says what to do if that is refused."""

    def __init__(self, server: str, config: McpServerConfig, logins: LoginFile) -> None:
        """Use `open` before anything else, and `aclose` in the end."""
        self._server = server
        self._config = config
        self._logins = logins
        self._login: Login | None = None
        self._flight: asyncio.Task[None] | None = None
        self._early_from = 0.0
        """From when on a flight may begin that nobody waits for, by the monotonic clock."""

    async def open(self) -> None:
        """Read the login.

        Raises:
            PrxError: it cannot be read.
        """
        if self._is_user:
            self._login = await self._stored()

    async def aclose(self) -> None:
        """Let a flight end, within bounds: the refresh token that it sent may be spent by now."""
        if (flight := self._flight) is not None:
            await asyncio.wait({flight}, timeout=_LAST_FLIGHT_SECS)
            flight.cancel()
            await asyncio.wait({flight})

    @property
    def headers(self) -> Mapping[str, str]:
        """What is sent now."""
        return {} if self._login is None else {"authorization": f"Bearer {self._login.tokens.access}"}

    async def send(self, attempt: Attempt) -> httpx2.Response:
        """Return the answer to a request; where the token is refused, that to another one with the next token.

        Raises:
            NeedsLoginError: no token is left that could be sent.
            UnavailableError: another token cannot be had now.
            UpstreamError: the login is one that may not do this.
        """
        await self._look_ahead()
        used = self._login
        response = await attempt(self.headers)
        if response.status_code == _UNAUTHORIZED:
            await response.aclose()
            if self._login is used:
                await self._renewed(response)
            response = await attempt(self.headers)
            if response.status_code == _UNAUTHORIZED:
                await response.aclose()
                raise self._needs_login("it refuses the token that was just issued for it")
        if response.status_code == _FORBIDDEN:
            await self._check_scope(response)
        return response

    @property
    def _is_user(self) -> bool:
        return not has_own_authorization(self._config) and self._config.oauth.grant == "authorization_code"

    async def _look_ahead(self) -> None:
        """Have another token before this one ends: that is waited for by those alone who come too late."""
        tokens = None if self._login is None else self._login.tokens
        if tokens is None or tokens.renew_at is None or time.time() < tokens.renew_at:
            return
        if self._is_user and tokens.refresh is None:
            return
        if tokens.expires_at is None or time.time() >= tokens.expires_at:
            await self._renewed(None)
        elif time.monotonic() >= self._early_from:
            self._early_from = time.monotonic() + _EARLY_PAUSE_SECS
            self._taken_off(None)

    async def _renewed(self, challenge: httpx2.Response | None) -> None:
        """Have another token; whoever is cancelled meanwhile leaves the flight alone."""
        await asyncio.shield(self._taken_off(challenge))

    def _taken_off(self, challenge: httpx2.Response | None) -> asyncio.Task[None]:
        """Return the flight that is on its way, or begin one."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._renew(challenge), name=f"login {self._server}")
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # whoever waits hears of it; who does not, from the next flight

    async def _renew(self, challenge: httpx2.Response | None) -> None:
        if has_own_authorization(self._config):
            raise self._needs_login("it refuses the authorization that it is sent (HTTP 401)")
        try:
            if self._is_user:
                await self._renew_user()
            else:
                await self._renew_client(challenge)
        except GrantRefusedError as error:
            raise self._needs_login(f"the login is over: {error.message}") from error
        except UnavailableError:
            raise
        except PrxError as error:
            raise self._needs_login(error.message) from error

    async def _renew_user(self) -> None:
        login, stored = self._login, await self._stored()
        if stored is not None and stored != login:
            self._login = stored  # somebody logged in meanwhile
            return
        if login is None:
            raise self._needs_login("it asks for a login (HTTP 401)")
        if stored is None:
            raise self._needs_login("it was logged out")
        if login.tokens.refresh is None:
            raise self._needs_login("the login is over, and was one that cannot be renewed")
        async with browsing(login.url, await asyncio.to_thread(tls_context)) as web:
            after = replace(login, tokens=await refresh(web, login))
        self._login = after
        try:
            self._login = await asyncio.to_thread(self._logins.renew, self._server, login, after)
        except PrxError as error:
            _log.warning("a renewed login cannot be stored", server=self._server, reason=error.message)

    async def _renew_client(self, challenge: httpx2.Response | None) -> None:
        oauth, url, login = self._config.oauth, self._config.url or "", self._login
        async with browsing(url, await asyncio.to_thread(tls_context)) as web:
            if login is None:
                told = await knock(web, self._config) if challenge is None else challenge
                found = await discover(web, url, told, oauth.issuer, ["client_credentials"])
                client = configured_client(oauth, found.metadata)
                if client is None:  # the schema lets none pass
                    raise self._needs_login("there is no client")
                endpoints, scope = found.endpoints, " ".join(oauth.scopes) or found.scope
            else:
                client, endpoints, scope = login.client, login.endpoints, login.tokens.scope
            tokens = await client_credentials(web, endpoints, client, scope)
        self._login = Login(url, client, endpoints, tokens)

    async def _stored(self) -> Login | None:
        """Return the stored login, unless another client is configured by now."""
        login = await asyncio.to_thread(self._logins.find, self._server, self._config.url or "")
        client = configured_client(self._config.oauth)
        if login is None or client is None:
            return login
        return login if login.client.id == client.id else None

    async def _check_scope(self, response: httpx2.Response) -> None:
        """Raise UpstreamError where the login does not reach far enough."""
        if extract_field_from_www_auth(response, "error") != "insufficient_scope":
            return
        await response.aclose()
        scope = printable(extract_scope_from_www_auth(response) or "")[:_MAX_QUOTED]
        how = (
            f"log in again with {login_command(self._server, scope.split())}"
            if self._is_user
            else remedy(self._server, self._config)
        )
        reason = f"it wants a login with more scopes ({scope or 'it does not say which'})"
        raise UpstreamError(f"{reason}: {how}", mcp_types.INVALID_REQUEST)

    def _needs_login(self, reason: str) -> NeedsLoginError:
        return NeedsLoginError(f"{reason}: {remedy(self._server, self._config)}")
