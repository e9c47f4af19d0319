"""An authorization server on a real socket: discovery, registration, PKCE, rotation, and clients of their own."""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, web

from tests.support.http_mcp import HttpServer


@dataclass
class OAuthServer:
    """What it gave out, and what it does next."""

    guarded: HttpServer
    """The MCP server whose access tokens these are."""
    port: int = 0
    clients: dict[str, Any] = field(default_factory=dict)
    challenges: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The forms that came to the token endpoint."""
    refresh_token: str = ""
    expires_in: int = 3600
    is_over: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def about_resource(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "resource": self.guarded.url,
                "authorization_servers": [self.url],
                "scopes_supported": ["read", "write"],
            }
        )

    async def about_itself(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "registration_endpoint": f"{self.url}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            }
        )

    async def register(self, request: web.Request) -> web.Response:
        client = {
            **await request.json(),
            "client_id": secrets.token_hex(4),
            "token_endpoint_auth_method": "none",
        }
        self.clients[client["client_id"]] = client
        return web.json_response(client, status=201)

    async def authorize(self, request: web.Request) -> web.Response:
        """Send the browser back at once, as if its user had agreed."""
        query = request.query
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.challenges[code] = query["code_challenge"]
        raise web.HTTPFound(f"{query['redirect_uri']}?code={code}&state={query['state']}&iss={self.url}")

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        if self.is_over or not self._is_due(form, request.headers.get("Authorization", "")):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(self.issue())

    def issue(self) -> dict[str, Any]:
        """Give out a new access token, the only one that counts, and a new refresh token."""
        access, self.refresh_token = secrets.token_hex(16), secrets.token_hex(16)
        self.guarded.wanted = f"Bearer {access}"
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "refresh_token": self.refresh_token,
        }

    def _is_due(self, form: dict[str, str], authorization: str) -> bool:
        match form["grant_type"]:
            case "authorization_code":
                digest = hashlib.sha256(form["code_verifier"].encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
                return challenge == self.challenges.pop(form["code"], None)
            case "refresh_token":
                return form["refresh_token"] == self.refresh_token
            case "client_credentials":
                return authorization == "Basic " + base64.b64encode(b"machine:hunter2hunter2").decode()
        return False


@asynccontextmanager
async def oauth_server(guarded: HttpServer) -> AsyncIterator[OAuthServer]:
    """Guard an MCP server for the length of the block."""
    server = OAuthServer(guarded)
    app = web.Application()
    app.router.add_get("/resource", server.about_resource)
    app.router.add_get("/.well-known/oauth-authorization-server", server.about_itself)
    app.router.add_post("/register", server.register)
    app.router.add_get("/authorize", server.authorize)
    app.router.add_post("/token", server.token)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        guarded.wanted, guarded.about = "nobody yet", f"{server.url}/resource"
        yield server
    finally:
        await runner.cleanup()


async def browse(address: str) -> str:
    """Open an address as a browser does, redirects and all, and return what the last page says."""
    async with ClientSession() as session, session.get(address) as page:
        return await page.text()
