"""A user logs in: discovery, registration, and the authorization code with PKCE."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from mcp.client.auth import OAuthFlowError, PKCEParameters
from mcp.client.auth.utils import union_scopes, validate_authorization_response_iss
from mcp.shared.auth import DEFAULT_GRANT_TYPES, OAuthMetadata

from prx.config.integrations import McpServerConfig
from prx.core.errors import PrxError
from prx.core.text import printable
from prx.mcp.client.oauth.discovery import Found, discover, knock
from prx.mcp.client.oauth.grants import configured_client, exchange, register, revoke
from prx.mcp.client.oauth.logins import Client, Login
from prx.mcp.client.oauth.web import browsing, shown
from prx.mcp.client.tls import tls_context

_MAX_REASON_CHARS: Final = 200

Ask = Callable[[str, str], Awaitable[Mapping[str, str]]]
"""Has the user open an address, and returns what the browser brings to the redirect URI with this state."""


async def log_in(config: McpServerConfig, redirect_uri: str, scopes: tuple[str, ...], ask: Ask) -> Login:
    """Return a new login at the server of `config`; nothing is stored.

    Args:
        config: a server over HTTP.
        redirect_uri: where the browser is sent in the end.
        scopes: what is asked for beside what the configuration or the server names.
        ask: asks the user.

    Raises:
        PrxError: there is no login; says why.
    """
    url = config.url or ""
    async with browsing(url, await asyncio.to_thread(tls_context)) as web:
        challenge = await knock(web, config)
        found = await discover(web, url, challenge, config.oauth.issuer, DEFAULT_GRANT_TYPES)
        _check_pkce(found.metadata)
        web.check(str(found.metadata.authorization_endpoint))
        scope = union_scopes(" ".join(config.oauth.scopes) or found.scope, " ".join(scopes))
        client = configured_client(config.oauth, found.metadata) or await register(
            web, found.metadata, redirect_uri, scope
        )
        pkce = PKCEParameters.generate()
        code = await _code(found, client, pkce.code_challenge, redirect_uri, scope, ask)
        tokens = await exchange(
            web,
            found.endpoints,
            client,
            code=code,
            verifier=pkce.code_verifier,
            redirect_uri=redirect_uri,
            scope=scope,
        )
        return Login(url, client, found.endpoints, tokens)


async def log_out(login: Login) -> bool:
    """Have the authorization server forget `login`; False where it does not."""
    async with browsing(login.url, await asyncio.to_thread(tls_context)) as web:
        return await revoke(web, login)


async def _code(
    found: Found, client: Client, challenge: str, redirect_uri: str, scope: str | None, ask: Ask
) -> str:
    """Return the code that the authorization server gives the user for us."""
    state = secrets.token_urlsafe(32)
    wanted = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    if found.endpoints.resource is not None:
        wanted["resource"] = found.endpoints.resource
    if scope is not None:
        wanted["scope"] = scope
        if "offline_access" in scope.split():
            wanted["prompt"] = "consent"  # as OpenID Connect wants it
    page = str(found.metadata.authorization_endpoint)
    came = await ask(f"{page}{'&' if '?' in page else '?'}{urlencode(wanted)}", state)
    try:
        validate_authorization_response_iss(came.get("iss"), found.metadata)
    except OAuthFlowError:
        raise PrxError(
            f"the answer does not come from {shown(found.endpoints.issuer)}, where the login was begun: it is not used"
        ) from None
    if "error" in came:
        reason = ": ".join(came[key] for key in ("error", "error_description") if came.get(key))
        raise PrxError(
            f"{shown(found.endpoints.issuer)} refuses the login: {printable(reason[:_MAX_REASON_CHARS])}"
        )
    if not (code := came.get("code")):
        raise PrxError(f"{shown(found.endpoints.issuer)} answers without a code")
    return code


def _check_pkce(metadata: OAuthMetadata) -> None:
    """Refuse an authorization server that does without; many of those that have it do not say so."""
    methods = metadata.code_challenge_methods_supported
    if methods is not None and "S256" not in methods:
        raise PrxError(
            f"the authorization server {shown(str(metadata.issuer))} has no PKCE (S256), without which a code could be "
            "taken by other programs"
        )
