"""Servers of 2025-03-26 name no authorization server: their origin tells who issues tokens, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from prx.config.integrations import McpServerConfig
from prx.core.errors import PrxError
from prx.mcp.client.oauth.discovery import Found, discover, knock
from prx.mcp.client.oauth.web import browsing
from prx.mcp.client.tls import tls_context


@asynccontextmanager
async def telling(issuer: str) -> AsyncIterator[str]:
    """Serve an MCP server whose origin names `issuer`, which may have the origin in it."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401)

    async def tell(request: web.Request) -> web.Response:
        origin = f"http://{request.host}"
        named = issuer.format(origin)
        return web.json_response(
            {
                "issuer": named,
                "authorization_endpoint": f"{origin}/login",
                "token_endpoint": f"{origin}/give",
                "response_types_supported": ["code"],
            }
        )

    app = web.Application()
    app.router.add_post("/mcp", refuse)
    app.router.add_get("/.well-known/oauth-authorization-server", tell)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def found_at(origin: str, issuer: str | None = None) -> Found:
    config = McpServerConfig(url=f"{origin}/mcp")
    async with browsing(f"{origin}/mcp", await asyncio.to_thread(tls_context)) as browser:
        return await discover(browser, f"{origin}/mcp", await knock(browser, config), issuer, [])


@pytest.mark.parametrize("path", ["", "/", "/oauth"])
async def test_who_issues_may_be_below_a_path_of_the_origin(path: str) -> None:
    async with telling(f"{{}}{path}") as origin:
        found = await found_at(origin)
        assert found.endpoints.issuer.rstrip("/") == f"{origin}{path}".rstrip("/")
        assert found.endpoints.token == f"{origin}/give"


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:1/oauth", "https://login.example.com"])
async def test_another_origin_is_not_taken(issuer: str) -> None:
    async with telling(issuer) as origin:
        with pytest.raises(PrxError, match="says that it is"):
            await found_at(origin)


async def test_an_issuer_that_is_configured_has_to_be_exactly_that() -> None:
    async with telling("{}/oauth") as origin:
        with pytest.raises(PrxError, match="says that it is"):
            await found_at(origin, issuer=origin)
