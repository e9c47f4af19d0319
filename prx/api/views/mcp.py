"""MCP servers: which are connected, and having them connect again."""

from typing import Any

from aiohttp import web

from prx.api.answers.mcp import ServerDetail, ServerList, ServerStatus
from prx.api.bodies import reply
from prx.api.deps import MCP_SERVERS
from prx.api.routes import Routes
from prx.core.ids import iso_utc
from prx.mcp.client.view import ServerView

routes = Routes()


@routes.get("/mcp", scope="mcp:read", answer=ServerList)
async def list_servers(request: web.Request) -> web.Response:
    """Every configured MCP server, by name."""
    return reply({"servers": [_row(server) for server in request.app[MCP_SERVERS].list()]})


@routes.get("/mcp/{name}", scope="mcp:read", answer=ServerDetail, refuses=(404,))
async def get_server(request: web.Request) -> web.Response:
    """One MCP server in full."""
    server = request.app[MCP_SERVERS].get(request.match_info["name"])
    return reply(_row(server) | _detail(server))


@routes.post("/mcp/{name}/reconnect", scope="mcp:write", answer=ServerStatus, refuses=(404, 409))
async def reconnect_server(request: web.Request) -> web.Response:
    """Begin to connect an MCP server anew; what comes of it is told by the list."""
    name = request.match_info["name"]
    request.app[MCP_SERVERS].reconnect(name)
    return reply({"name": name, "status": "reconnecting"})


@routes.post("/mcp/{name}/disable", scope="mcp:write", answer=ServerStatus, refuses=(404, 503))
async def disable_server(request: web.Request) -> web.Response:
    """Disconnect an MCP server and withdraw its tools; idempotent, survives a restart."""
    name = request.match_info["name"]
    await request.app[MCP_SERVERS].disable(name)
    return reply({"name": name, "status": request.app[MCP_SERVERS].status(name)})


@routes.post("/mcp/{name}/enable", scope="mcp:write", answer=ServerStatus, refuses=(404, 409, 503))
async def enable_server(request: web.Request) -> web.Response:
    """Undo a disable; idempotent. It connects in the background."""
    name = request.match_info["name"]
    await request.app[MCP_SERVERS].enable(name)
    return reply({"name": name, "status": request.app[MCP_SERVERS].status(name)})


def _row(server: ServerView) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": server.name,
        "transport": server.transport,
        "status": server.status,
        "tools": server.tools,
    }
    if server.connected_at is not None:
        row["connected_at"] = iso_utc(server.connected_at)
    if server.error is not None:
        row["error"] = server.error
    return row


def _detail(server: ServerView) -> dict[str, Any]:
    detail = {
        "enabled": server.enabled,
        "restarts": server.restarts,
        "offered": server.offered,
        "skipped": server.skipped,
        "command": server.command,
        "url": server.url,
        "pid": server.pid,
        "protocol_version": server.protocol_version,
        "server": server.server_info,
        "capabilities": server.capabilities,
        "instructions": server.instructions,
    }
    return {key: value for key, value in detail.items() if value is not None}
