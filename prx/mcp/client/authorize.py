"""Logging in to a server with OAuth, by the SDK: discovery, registration and PKCE for people, secrets for machines.

Only `prx mcp login`, and a daemon whose server is configured for client credentials, import this.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self, cast, get_args

import httpx2
from aiohttp import web
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError, OAuthTokenError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from prx.config.integrations import OAuthConfig
from prx.core.errors import PrxError
from prx.mcp.client.logins import ClientAuth, Login
from prx.mcp.client.tokens import LoginOverError, expiry_of

_PERSON_SECS: Final = 300.0
_EXCHANGE_SECS: Final = 60.0
_PROBE: Final = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
_HEADERS: Final = {"accept": "application/json, text/event-stream"}
_FAILURES: Final = (OAuthFlowError, OAuthRegistrationError, OAuthTokenError, httpx2.HTTPError, ValueError)
_SAID: Final = "You can close this page and go back to the terminal."


class _Memory:
    """What the SDK's flow keeps; it is taken out when the flow is over."""

    def __init__(self, client: OAuthClientInformationFull | None = None) -> None:
        self._client = client

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Leave it to the flow's own context."""

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


class _PersonProvider(OAuthClientProvider):
    """Asks for the scopes that are configured, where some are, instead of all that the server names."""

    scopes: str | None = None

    async def _perform_authorization(self) -> httpx2.Request:
        if self.scopes:
            self.context.client_metadata.scope = self.scopes
        return await super()._perform_authorization()


async def log_in(url: str, oauth: OAuthConfig, show: Callable[[str], None]) -> Login:
    """Have a person log in to the server at `url`: `show` is given the address to open, and the answer is waited for.

    Raises:
        PrxError: the server asks for no login, or there is none within five minutes.
    """
    async with _Callback() as callback:
        redirect = AnyUrl(callback.url)
        client = None
        if oauth.client_id is not None:
            client = OAuthClientInformationFull(
                client_id=oauth.client_id,
                client_secret=_secret(oauth),
                redirect_uris=[redirect],
                token_endpoint_auth_method="client_secret_basic" if oauth.client_secret else "none",
            )

        async def shown(address: str) -> None:
            show(address)

        provider = _PersonProvider(
            url,
            OAuthClientMetadata(client_name="PRX", redirect_uris=[redirect], scope=_scopes(oauth)),
            _Memory(client),
            shown,
            callback.result,
        )
        provider.scopes = _scopes(oauth)
        return await _logged_in(url, provider, _PERSON_SECS)


async def obtain(url: str, oauth: OAuthConfig) -> Login:
    """Log in with the configured client's own credentials.

    Raises:
        LoginOverError: they are refused.
    """
    provider = ClientCredentialsOAuthProvider(
        url,
        _Memory(),
        client_id=oauth.client_id or "",
        client_secret=_secret(oauth) or "",
        scope=_scopes(oauth),
        issuer=oauth.issuer,
    )
    try:
        return await _logged_in(url, provider, _EXCHANGE_SECS)
    except PrxError as error:
        raise LoginOverError(error.message) from error


async def _logged_in(url: str, provider: OAuthClientProvider, within_secs: float) -> Login:
    try:
        async with (
            asyncio.timeout(within_secs),
            httpx2.AsyncClient(auth=provider, timeout=_EXCHANGE_SECS) as client,
            client.stream("POST", url, json=_PROBE, headers=_HEADERS),
        ):
            pass  # all that is wanted of it is that it asks for a login
    except TimeoutError as error:
        raise PrxError(f"nobody logged in within {within_secs:g} s") from error
    except _FAILURES as error:
        raise PrxError(f"the login failed: {error}") from error
    context = provider.context
    token, client_info = context.current_tokens, context.client_info
    if token is None or client_info is None:
        raise PrxError("the server asks for no login")
    return Login(
        access_token=token.access_token,
        expires_at=expiry_of(token.expires_in),
        refresh_token=token.refresh_token,
        token_endpoint=provider._get_token_endpoint(),  # noqa: SLF001  # nothing public tells
        client_id=client_info.client_id or "",
        client_secret=client_info.client_secret,
        client_auth=_client_auth(client_info),
        resource=context.get_resource_url() if context.should_include_resource_param("2025-11-25") else None,
    )


def _client_auth(client: OAuthClientInformationFull) -> ClientAuth:
    method: Any = client.token_endpoint_auth_method
    if method in get_args(ClientAuth):
        return cast("ClientAuth", method)
    return "none"


def _secret(oauth: OAuthConfig) -> str | None:
    return None if oauth.client_secret is None else oauth.client_secret.get_secret_value()


def _scopes(oauth: OAuthConfig) -> str | None:
    return " ".join(oauth.scopes) or None


class _Callback:
    """Where the browser comes back to: a port of this machine that only this machine reaches."""

    def __init__(self) -> None:
        self._result: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()
        app = web.Application()
        app.router.add_get("/callback", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self.url = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/callback"
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(TimeoutError):
            await self._runner.cleanup()

    async def result(self) -> AuthorizationCodeResult:
        """Return what the browser brought.

        Raises:
            OAuthFlowError: it was refused.
        """
        return await self._result

    async def _answer(self, request: web.Request) -> web.Response:
        query = request.query
        if not self._result.done():
            if "code" in query:
                self._result.set_result(
                    AuthorizationCodeResult(
                        code=query["code"], state=query.get("state"), iss=query.get("iss")
                    )
                )
            else:
                reason = query.get("error_description") or query.get("error") or "there is no code"
                self._result.set_exception(OAuthFlowError(f"it was refused: {reason}"))
        return web.Response(text=_SAID)
