"""Metrics: what Prometheus scrapes, beside the API and not below it."""

from aiohttp import hdrs, web

from prx.api.deps import METRICS
from prx.api.routes import Routes

routes = Routes()


@routes.get("/metrics", scope="status:read", status=200)
async def get_metrics(request: web.Request) -> web.Response:
    """Everything that is counted and measured, as text for Prometheus; with `gateway.metrics_public` for anybody."""
    content, content_type = await request.app[METRICS].scrape(request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=content, headers={hdrs.CONTENT_TYPE: content_type})
