"""A proxy that adds a token, for programs that cannot be told one, such as the official conformance suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, ClientTimeout, web

_HOP_BY_HOP = ("Connection", "Transfer-Encoding", "Content-Length", "Keep-Alive")


@asynccontextmanager
async def token_proxy(target: str, token: str) -> AsyncIterator[str]:
    """Pass requests on to `target` with `token`, as they are otherwise; yields the proxy's address."""
    async with ClientSession(timeout=ClientTimeout(total=None), auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            headers = request.headers.copy()
            headers["Authorization"] = f"Bearer {token}"
            for name in _HOP_BY_HOP:
                headers.popall(name, None)
            async with session.request(
                request.method, f"{target}{request.rel_url}", headers=headers, data=await request.read()
            ) as answer:
                kept = answer.headers.copy()
                for name in _HOP_BY_HOP:
                    kept.popall(name, None)
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                return response

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
