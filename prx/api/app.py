"""Builds everything that is served on the port: the REST sub-app at /api/v1 inside the outer application."""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from prx.api.bodies import encoded
from prx.api.channel_mount import mount_channels
from prx.api.deps import (
    ADMISSION,
    AGENT,
    CHANNELS,
    CONFIG,
    DOCUMENT,
    EVENTS,
    GLANCE,
    LIVE,
    LOG,
    MCP,
    MCP_SERVERS,
    METRICS,
    PLUGINS,
    ROUTER,
    SESSIONS,
    SKILLS,
    SOCKETS,
    STATUS,
    STREAMS,
    WEBHOOKS,
    ApiDeps,
)
from prx.api.edge import Edge
from prx.api.event_stream import EventFeed
from prx.api.expectations import known_expectation
from prx.api.log_stream import LogFeed
from prx.api.mcp_mount import mount_mcp
from prx.api.openapi import Document
from prx.api.resident import ResidentMemory
from prx.api.routes import Route
from prx.api.sockets import Sockets, mount_sockets
from prx.api.sse import Streams
from prx.api.turn import Shared
from prx.api.views import (
    approvals,
    channels,
    config,
    events,
    hooks,
    logs,
    mcp,
    messages,
    metrics,
    openapi,
    plugins,
    sessions,
    skills,
    status,
    tools,
)

PREFIX: Final = "/api/v1"
EDGE: Final = web.AppKey("EDGE", Edge)
_KIB: Final = 1024
_VIEWS: Final = (
    approvals,
    channels,
    config,
    events,
    hooks,
    logs,
    mcp,
    messages,
    openapi,
    plugins,
    sessions,
    skills,
    status,
    tools,
)
ROUTES: Final = tuple(route for view in _VIEWS for route in view.routes)
"""Every route of the sub-app."""


def build_app(deps: ApiDeps) -> web.Application:
    """Return the application for the whole port; serve it with `prx.api.server.ApiRunner`.

    Raises:
        ValueError: a route declares no scope.
    """
    edge = Edge(deps)
    deps.metrics.watch(edge.traffic.metrics)
    # The outer application's limit counts: it is the one that makes the requests.
    app = web.Application(client_max_size=deps.config().gateway.max_body_kb * _KIB)
    app[EDGE] = edge
    app[METRICS] = deps.metrics
    app[STREAMS] = Streams(edge.lift_deadline, edge.still_admits)
    app[SOCKETS] = Sockets()
    app[AGENT], app[SESSIONS] = deps.agent, deps.sessions
    mount_sockets(app, edge)
    app.on_response_prepare.append(edge.dress)
    app[MCP] = deps.mcp_endpoint
    mount_mcp(app, edge)
    app[CHANNELS] = deps.channels
    mount_channels(app, edge)
    app.add_subapp(PREFIX, build_api(deps, edge, app[STREAMS]))
    mount(app, edge, metrics.routes, metrics=True)
    edge.check_covers(app)
    return app


def build_api(deps: ApiDeps, edge: Edge, streams: Streams) -> web.Application:
    """Return the REST sub-app, its routes guarded by `edge`."""
    api = web.Application()
    api[AGENT] = deps.agent
    api[CHANNELS] = deps.channels
    api[ADMISSION] = deps.admission
    api[CONFIG] = deps.config
    api[EVENTS] = EventFeed(deps.bus)
    resident = ResidentMemory(deps.clock)
    api[GLANCE] = Shared(lambda: encoded(status.glance(deps, resident)))
    api[LIVE] = deps.live
    api[LOG] = LogFeed(deps.log)
    api[MCP_SERVERS] = deps.mcp_servers
    api[PLUGINS] = deps.plugins
    api[ROUTER] = deps.router
    api[SESSIONS] = deps.sessions
    api[SKILLS] = deps.skills
    api[STATUS] = deps.status
    api[STREAMS] = streams
    api[WEBHOOKS] = deps.webhooks
    api[DOCUMENT] = Document(ROUTES)
    mount(api, edge, ROUTES)
    return api


def mount(app: web.Application, edge: Edge, routes: Iterable[Route], *, metrics: bool = False) -> None:
    """Add declared `routes` to `app`, guarded by `edge`; see `Edge.guarded`."""
    for route in routes:
        handler = edge.guarded(route.handler, route.scope, metrics=metrics)
        app.router.add_route(route.method, route.path, handler, expect_handler=known_expectation)
