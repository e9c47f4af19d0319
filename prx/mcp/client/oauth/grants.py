"""What an authorization server is asked for: a client, tokens, and to forget them."""

import base64
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, cast
from urllib.parse import quote

import httpx2
from mcp.client.auth import OAuthRegistrationError
from mcp.client.auth.oauth2 import check_registration_usable
from mcp.client.auth.utils import handle_registration_response
from mcp.shared.auth import OAuthClientMetadata, OAuthMetadata, OAuthToken
from pydantic import AnyUrl
from pydantic_core import from_json

from prx.config.integrations import OAuthConfig
from prx.config.redaction import MASK
from prx.core.errors import PrxError, UnavailableError
from prx.core.text import printable
from prx.mcp.client.oauth.logins import AuthMethod, Client, Endpoints, Login, Tokens
from prx.mcp.client.oauth.web import Web, shown

_NAME: Final = "PRX"
_OK, _CREATED = 200, 201
_REFUSALS: Final = frozenset({400, 401, 403})
_PASSING: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_MAX_REASON_CHARS: Final = 200
_MAX_LIFE_SECS: Final = 10 * 365 * 24 * 3600
_EARLY_SECS: Final = 60.0
_EARLY_PART: Final = 0.25


class GrantRefusedError(PrxError):
    """The authorization server says no, and will again."""


def configured_client(oauth: OAuthConfig, metadata: OAuthMetadata | None = None) -> Client | None:
    """Return the client that was registered by hand, if one was; `metadata` says how its secret is shown."""
    if oauth.client_id is None:
        return None
    if oauth.client_secret is None:
        return Client(oauth.client_id)
    taken = None if metadata is None else metadata.token_endpoint_auth_methods_supported
    posts = taken is not None and "client_secret_basic" not in taken and "client_secret_post" in taken
    method: AuthMethod = "client_secret_post" if posts else "client_secret_basic"
    return Client(oauth.client_id, oauth.client_secret.get_secret_value(), method)


async def register(web: Web, metadata: OAuthMetadata, redirect_uri: str, scope: str | None) -> Client:
    """Return a client that the authorization server registers for this.

    Raises:
        PrxError: it registers none, or one that is of no use.
        UnavailableError: it does not answer.
    """
    if metadata.registration_endpoint is None:
        raise PrxError(
            f"the authorization server {shown(str(metadata.issuer))} registers no clients by itself: register one "
            f"there by hand, for {redirect_uri}, and set its oauth.client_id and oauth.redirect_port"
        )
    wanted = OAuthClientMetadata(
        client_name=_NAME,
        redirect_uris=[AnyUrl(redirect_uri)],
        scope=scope,
        token_endpoint_auth_method=_method_to_ask_for(metadata),
    )
    body = wanted.model_dump(by_alias=True, mode="json", exclude_none=True)
    response = await web.ask("POST", str(metadata.registration_endpoint), body=body)
    if response.status_code not in (_OK, _CREATED):
        raise _refused(response, "client")
    try:
        given = await handle_registration_response(response)
        check_registration_usable(given)
    except OAuthRegistrationError:
        # Not with its text: it repeats what it found, which has a secret.
        raise PrxError(f"{shown(str(response.url))} registers a client that is of no use here") from None
    method = given.token_endpoint_auth_method or ("client_secret_basic" if given.client_secret else "none")
    # `check_registration_usable` lets no other pass.
    return Client(given.client_id, given.client_secret, cast("AuthMethod", method))


async def exchange(
    web: Web,
    endpoints: Endpoints,
    client: Client,
    *,
    code: str,
    verifier: str,
    redirect_uri: str,
    scope: str | None,
) -> Tokens:
    """Return the tokens for a `code` that a user brought.

    Raises:
        GrantRefusedError, UnavailableError: there are none.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
    }
    return await _tokens(web, endpoints, client, form, Tokens("", scope=scope))


async def refresh(web: Web, login: Login) -> Tokens:
    """Return the tokens that follow those of `login`, which has a refresh token.

    Raises:
        GrantRefusedError: the login is over.
        UnavailableError: it cannot be told now.
    """
    form = {"grant_type": "refresh_token", "refresh_token": login.tokens.refresh or ""}
    return await _tokens(web, login.endpoints, login.client, form, login.tokens)


async def client_credentials(web: Web, endpoints: Endpoints, client: Client, scope: str | None) -> Tokens:
    """Return tokens for `client` itself.

    Raises:
        GrantRefusedError, UnavailableError: there are none.
    """
    form = {"grant_type": "client_credentials"} | ({} if scope is None else {"scope": scope})
    return await _tokens(web, endpoints, client, form, Tokens("", scope=scope))


async def revoke(web: Web, login: Login) -> bool:
    """Have the authorization server forget `login`; False where it does not."""
    if login.endpoints.revocation is None:
        return False
    tokens = login.tokens
    kind, token = (
        ("access_token", tokens.access) if tokens.refresh is None else ("refresh_token", tokens.refresh)
    )
    form, headers = _signed(login.client, {"token": token, "token_type_hint": kind})
    with suppress(PrxError):
        response = await web.ask("POST", login.endpoints.revocation, form=form, headers=headers, whole=False)
        return response.status_code == _OK
    return False


async def _tokens(
    web: Web, endpoints: Endpoints, client: Client, form: Mapping[str, str], before: Tokens
) -> Tokens:
    """Return what is given for `form`; what the answer leaves out is as `before`."""
    wanted = dict(form) | ({} if endpoints.resource is None else {"resource": endpoints.resource})
    signed, headers = _signed(client, wanted)
    response = await web.ask("POST", endpoints.token, form=signed, headers=headers)
    if response.status_code not in (_OK, _CREATED):
        secrets = (client.secret, form.get("code"), form.get("code_verifier"), form.get("refresh_token"))
        raise _refused(response, "tokens", [secret for secret in secrets if secret])
    try:
        given = OAuthToken.model_validate_json(response.content)
        if not given.access_token.isascii() or not given.access_token.isprintable():
            raise ValueError  # noqa: TRY301  # as any other answer that is none
    except ValueError:
        # Not with pydantic's text: it repeats what it found.
        raise UnavailableError(f"{shown(endpoints.token)} answers without a token of OAuth") from None
    renew_at = expires_at = None
    # Some that do not end say 0.
    if given.expires_in is not None and given.expires_in > 0:
        life_secs = min(given.expires_in, _MAX_LIFE_SECS)
        expires_at = time.time() + life_secs
        renew_at = expires_at - min(_EARLY_SECS, life_secs * _EARLY_PART)
    return Tokens(
        access=given.access_token,
        refresh=given.refresh_token or before.refresh,
        scope=before.scope if given.scope is None else given.scope,
        renew_at=renew_at,
        expires_at=expires_at,
    )


def _signed(client: Client, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return form and headers by which the authorization server knows the client."""
    if client.secret is None or client.method == "none":
        return {**form, "client_id": client.id}, {}
    if client.method == "client_secret_post":
        return {**form, "client_id": client.id, "client_secret": client.secret}, {}
    pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}".encode()
    return dict(form), {"authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _method_to_ask_for(metadata: OAuthMetadata) -> AuthMethod | None:
    """Return how a new client should show itself: a program on somebody's machine keeps no secret well."""
    taken = metadata.token_endpoint_auth_methods_supported
    order: tuple[AuthMethod, ...] = ("none", "client_secret_basic", "client_secret_post")
    return None if taken is None else next((method for method in order if method in taken), None)


def _refused(response: httpx2.Response, wanted: str, secrets: Iterable[str] = ()) -> PrxError:
    """Return why there is no `wanted`, without `secrets` that the answer may repeat."""
    status, place = response.status_code, shown(str(response.url))
    code, reason = _oauth_error(response.content)
    for secret in secrets:
        reason = reason.replace(secret, MASK)
    reason = reason[:_MAX_REASON_CHARS]
    why = f"HTTP {status}" if code is None else f"{code}: {reason}" if reason else code
    message = f"{place} gives no {wanted}: {printable(why)}"
    if status in _REFUSALS and code not in _PASSING:
        return GrantRefusedError(message)
    return UnavailableError(message)


def _oauth_error(content: bytes) -> tuple[str | None, str]:
    try:
        told: Any = from_json(content)
    except ValueError:
        return None, ""
    if not isinstance(told, dict) or not isinstance(code := told.get("error"), str):
        return None, ""
    reason = told.get("error_description")
    return code[:_MAX_REASON_CHARS], reason if isinstance(reason, str) else ""
