"""An authorization server and an MCP server that takes its tokens, each on a real socket, and a user with a browser."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
from aiohttp import web

from prx.cli.mcp.callback import listening
from prx.config.integrations import McpServerConfig
from prx.mcp.client.oauth.interactive import log_in
from prx.mcp.client.oauth.logins import Login
from tests.support.http_mcp import HttpServer, http_server

CONFIGURED = {"client_id": "by-hand", "client_secret": "s3cret/of+the client"}
_TENANT = "/tenant"


@dataclass
class AuthorizationServer:
    """What a test sees of it, and sets. Refresh tokens are spent by their use, and one used twice ends the login."""

    port: int = 0
    issuer_told: str | None = None
    """What it says that it is, where that is not true."""
    told: dict[str, Any] = field(default_factory=dict)
    """What its metadata has beside the usual, or in place of that."""
    life_secs: int | None = 3600
    gives_refresh: bool = True
    answers_iss: str | None = None
    wrong_state: bool = False
    denies: bool = False
    down: bool = False
    gate: asyncio.Event | None = None
    """What it waits for before it gives tokens."""
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    """Valid access tokens, and the scope of each."""
    refresh: dict[str, str] = field(default_factory=dict)
    """Valid refresh tokens, and the scope of each."""
    spent: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    """Every form that came for tokens."""
    revoked: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return self.origin + _TENANT

    def grants(self) -> list[str]:
        """Return which grants were asked for."""
        return [form["grant_type"] for form in self.asked]

    async def metadata(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer_told or self.issuer,
                "authorization_endpoint": f"{self.origin}/login?kind=user",
                "token_endpoint": f"{self.origin}/give",
                "registration_endpoint": f"{self.origin}/enrol",
                "revocation_endpoint": f"{self.origin}/forget",
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    "none",
                    "client_secret_basic",
                    "client_secret_post",
                ],
                **self.told,
            }
        )

    async def enrol(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        client = {**wanted, "client_id": secrets.token_hex(8)}
        if wanted.get("token_endpoint_auth_method") != "none":
            client["client_secret"] = secrets.token_hex(8)
        self.clients[client["client_id"]] = client
        return web.json_response(client, status=201)

    async def login(self, request: web.Request) -> web.Response:
        """Be the page where a user agrees, or not."""
        asked = dict(request.query)
        client = self.clients[asked["client_id"]]
        assert asked["redirect_uri"] in client["redirect_uris"]
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = asked
        brought = {"state": "another" if self.wrong_state else asked["state"]}
        brought |= {"iss": self.answers_iss} if self.answers_iss is not None else {}
        brought |= (
            {"error": "access_denied", "error_description": "not today"} if self.denies else {"code": code}
        )
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(brought)}")

    async def give(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append(form)
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            return web.Response(status=503)
        if self._client(request, form) is None:
            return _error("invalid_client", "who is that?", 401)
        match form["grant_type"]:
            case "authorization_code":
                asked = self.codes.pop(form["code"], None)
                digest = hashlib.sha256(form["code_verifier"].encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
                if asked is None or challenge != asked["code_challenge"]:
                    return _error("invalid_grant", "no such code")
                assert (form["redirect_uri"], form["resource"]) == (asked["redirect_uri"], asked["resource"])
                return self._tokens(asked.get("scope", ""))
            case "refresh_token":
                token = form["refresh_token"]
                if token in self.spent:
                    self.revoke_all()
                if token not in self.refresh:
                    return _error("invalid_grant", f"the refresh token {token} is over")
                self.spent.add(token)
                return self._tokens(self.refresh.pop(token))
            case "client_credentials":
                return self._tokens(form.get("scope", ""), with_refresh=False)
        return _error("unsupported_grant_type", "")

    async def forget(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.revoked.append(str(form["token"]))
        return web.Response()

    def revoke_all(self) -> None:
        """End every login."""
        self.access.clear()
        self.refresh.clear()

    def _client(self, request: web.Request, form: dict[str, str]) -> dict[str, Any] | None:
        id_, secret = form.get("client_id", ""), form.get("client_secret")
        if (header := request.headers.get("Authorization")) is not None:
            pair = base64.b64decode(header.removeprefix("Basic ")).decode().split(":")
            id_, secret = (parse_qs(f"v={part}")["v"][0] for part in pair)
        client = self.clients.get(id_)
        return None if client is None or client.get("client_secret") != secret else client

    def _tokens(self, scope: str, *, with_refresh: bool = True) -> web.Response:
        access = f"access-{secrets.token_hex(8)}"
        self.access[access] = scope
        given: dict[str, Any] = {"access_token": access, "token_type": "bearer", "scope": scope}
        if self.life_secs is not None:
            given["expires_in"] = self.life_secs
        if with_refresh and self.gives_refresh:
            given["refresh_token"] = f"refresh-{secrets.token_hex(8)}"
            self.refresh[given["refresh_token"]] = scope
        return web.json_response(given)


def _error(code: str, reason: str, status: int = 400) -> web.Response:
    return web.json_response({"error": code, "error_description": reason}, status=status)


@asynccontextmanager
async def authorization_server(**settings: Any) -> AsyncIterator[AuthorizationServer]:
    """Serve for the length of the block."""
    server = AuthorizationServer(**settings)
    server.clients["by-hand"] = {**CONFIGURED, "redirect_uris": []}
    app = web.Application()
    app.add_routes(
        [
            web.get(f"/.well-known/oauth-authorization-server{_TENANT}", server.metadata),
            web.post("/enrol", server.enrol),
            web.get("/login", server.login),
            web.post("/give", server.give),
            web.post("/forget", server.forget),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


@dataclass
class Guarded:
    """An MCP server behind a login."""

    server: HttpServer
    issuer: AuthorizationServer
    wanted_scope: str = "tools"
    refused: int = 0
    """How many requests it did not let in."""

    def let_in(self, request: web.Request) -> web.Response | None:
        """Answer for the server whoever has no valid token with enough scope."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        scope = self.issuer.access.get(token)
        if scope is None:
            self.refused += 1
            place = f"{_origin(self.server)}/about/resource"
            told = f'Bearer resource_metadata="{place}", scope="{self.wanted_scope}"'
            return web.Response(status=401, headers={"WWW-Authenticate": told})
        if not set(self.wanted_scope.split()) <= set(scope.split()):
            told = f'Bearer error="insufficient_scope", scope="{self.wanted_scope}"'
            return web.Response(status=403, headers={"WWW-Authenticate": told})
        return None

    async def about(self, _: web.Request) -> web.Response:
        return web.json_response({"resource": self.server.url, "authorization_servers": [self.issuer.issuer]})


@asynccontextmanager
async def guarded_server(issuer: AuthorizationServer) -> AsyncIterator[Guarded]:
    """Serve MCP to whoever has a token of `issuer`, for the length of the block."""
    guarded = Guarded(HttpServer(), issuer)
    about = web.get("/about/resource", guarded.about)
    async with http_server(routes=[about], guard=guarded.let_in) as guarded.server:
        yield guarded


def _origin(server: HttpServer) -> str:
    parts = urlsplit(server.url)
    return f"{parts.scheme}://{parts.netloc}"


async def user_logs_in(config: McpServerConfig, *scopes: str) -> Login:
    """Do what `prx mcp login` does, with a user who agrees to everything at once."""
    async with listening(config.oauth.redirect_port) as callback:

        async def ask(url: str, state: str) -> Mapping[str, str]:
            callback.expect(state)
            await browse(url)
            return await callback.wait(1.0)

        return await log_in(config, callback.redirect_uri, scopes, ask)


async def browse(url: str) -> tuple[int, str]:
    """Be the user's browser: open an address, go where it leads, and return the last page."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()
