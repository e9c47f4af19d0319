"""Which authorization server an MCP server trusts: RFC 9728, then RFC 8414 or OpenID Connect."""

from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    create_oauth_metadata_request,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    get_client_metadata_scopes,
    handle_auth_metadata_response,
    handle_protected_resource_response,
    issuers_match,
)
from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url

from prx.config.integrations import McpServerConfig
from prx.core.errors import PrxError, UnavailableError
from prx.mcp.client.oauth.logins import Endpoints
from prx.mcp.client.oauth.web import Web, shown

# Asks for nothing and begins nothing, but has to be let in.
_KNOCK: Final = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
_UNAUTHORIZED: Final = 401
_BUSY: Final = (429, *range(500, 600))


class Found(NamedTuple):
    """What a login has to know."""

    metadata: OAuthMetadata
    endpoints: Endpoints
    scope: str | None
    """What the server wants to be asked for."""


async def knock(web: Web, config: McpServerConfig) -> httpx2.Response:
    """Return what the server says to somebody without a token.

    Raises:
        PrxError: it does not answer.
    """
    own = {name: value.get_secret_value() for name, value in config.headers.items()}
    method, kinds = ("GET", "") if config.transport == "sse" else ("POST", "application/json, ")
    headers = {"accept": f"{kinds}text/event-stream", **own}
    body: Any = None if method == "GET" else _KNOCK
    return await web.ask(method, config.url or "", body=body, headers=headers, whole=False)


async def discover(
    web: Web, url: str, challenge: httpx2.Response, issuer: str | None, grants: list[str]
) -> Found:
    """Return where tokens for the MCP server at `url` come from.

    Args:
        web: asks.
        url: the MCP server.
        challenge: what it answers without a token.
        issuer: the only authorization server that may be used, if that is settled.
        grants: what is asked for there.

    Raises:
        PrxError: there is none, or one that is not to be trusted.
        UnavailableError: it cannot be told now.
    """
    resource = await _resource(web, url, challenge)
    if resource is None:
        metadata = await _metadata(web, url, issuer) or _by_convention(url, challenge, issuer)
        named = None
    else:
        chosen = _chosen([str(server) for server in resource.authorization_servers], issuer)
        found = await _metadata(web, url, chosen)
        if found is None:
            raise PrxError(
                f"the authorization server {shown(chosen)} tells nothing of itself (RFC 8414): tokens cannot be had "
                "from it"
            )
        metadata, named = found, str(resource.resource)
    revocation = metadata.revocation_endpoint
    endpoints = Endpoints(
        issuer=str(metadata.issuer),
        token=str(metadata.token_endpoint),
        revocation=None if revocation is None else str(revocation),
        resource=named,
    )
    scope = get_client_metadata_scopes(extract_scope_from_www_auth(challenge), resource, metadata, grants)
    return Found(metadata, endpoints, scope)


async def _resource(web: Web, url: str, challenge: httpx2.Response) -> ProtectedResourceMetadata | None:
    """Return what the MCP server says of itself, None where it says nothing."""
    told = extract_resource_metadata_from_www_auth(challenge)
    busy: httpx2.Response | None = None
    for place in build_protected_resource_metadata_discovery_urls(told, url):
        response = await _read(web, place)
        if response.status_code in _BUSY:
            busy = response
        found = await handle_protected_resource_response(response)
        if found is None:
            continue
        wanted, named = resource_url_from_server_url(url), str(found.resource)
        if not check_resource_allowed(requested_resource=wanted, configured_resource=named):
            raise PrxError(
                f"the server says that it is {shown(named)}, not {shown(url)}: set the url to where it is"
            )
        return found
    if busy is not None:
        raise UnavailableError(f"{shown(str(busy.url))} answers with HTTP {busy.status_code}")
    return None


def _chosen(trusted: list[str], issuer: str | None) -> str:
    if issuer is None:
        return trusted[0]
    for server in trusted:
        if issuers_match(server, issuer):
            return server
    raise PrxError(
        f"the server takes tokens of {', '.join(map(shown, trusted))}, not of the configured issuer {shown(issuer)}"
    )


async def _metadata(web: Web, url: str, server: str | None) -> OAuthMetadata | None:
    """Return what the authorization `server`, or the origin of `url`, says of itself; None where it says nothing."""
    expected = server or _origin(url)
    for place in build_oauth_authorization_server_metadata_discovery_urls(server, url):
        response = await _read(web, place)
        readable, found = await handle_auth_metadata_response(response)
        if not readable:
            raise UnavailableError(f"{shown(place)} answers with HTTP {response.status_code}")
        if found is None:
            continue
        named = str(found.issuer)
        # Where the server names none, as in 2025-03-26, its origin tells who issues, which may be below a path there.
        is_below = server is None and _origin(named) == expected
        if not (is_below or issuers_match(named, expected)):
            raise PrxError(
                f"the authorization server at {shown(expected)} says that it is {shown(named)}: it is not used"
            )
        return found
    return None


def _by_convention(url: str, challenge: httpx2.Response, issuer: str | None) -> OAuthMetadata:
    """Return where the protocol of 2025-03-26 has the endpoints of servers that tell nothing."""
    if challenge.status_code != _UNAUTHORIZED:
        raise PrxError(f"the server at {shown(url)} does not ask for a login: it answers without one")
    if issuer is not None:
        raise PrxError(f"the issuer {shown(issuer)} tells nothing of itself (RFC 8414)")
    origin = _origin(url)
    return OAuthMetadata.model_validate(
        {
            "issuer": origin,
            "authorization_endpoint": f"{origin}/authorize",
            "token_endpoint": f"{origin}/token",
            "registration_endpoint": f"{origin}/register",
        }
    )


async def _read(web: Web, url: str) -> httpx2.Response:
    request = create_oauth_metadata_request(url)
    return await web.ask("GET", url, headers=dict(request.headers))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
