"""OpenAPI: this API, described for programs."""

from typing import Any

from aiohttp import web

from prx.api.deps import DOCUMENT
from prx.api.routes import ANY_TOKEN, Routes

routes = Routes()


@routes.get("/openapi.json", scope=ANY_TOKEN, answer=dict[str, Any])
async def get_openapi(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document of all this."""
    return web.Response(body=await request.app[DOCUMENT].content(), content_type="application/json")
