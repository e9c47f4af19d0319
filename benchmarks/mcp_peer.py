"""An MCP server as one writes it, on uvicorn: one Python tool with `fastmcp` or the SDK itself, or fastmcp's proxy.

python mcp_peer.py fastmcp|sdk PORT
python mcp_peer.py fastmcp-proxy|fastmcp-kept-proxy PORT COMMAND [ARGUMENT...]
"""

import sys
from typing import Any

import uvicorn
import uvloop
from starlette.requests import Request
from starlette.responses import JSONResponse


def _fastmcp() -> Any:
    from fastmcp import FastMCP  # noqa: PLC0415  # only the one that is asked for

    server = FastMCP("peer")

    @server.tool
    def echo(text: str) -> str:
        """Give back a text."""
        return text

    return server.http_app(path="/mcp")


def _sdk() -> Any:
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415  # as above

    server = MCPServer("peer")

    @server.tool()
    def echo(text: str) -> str:
        """Give back a text."""
        return text

    return server.streamable_http_app()


async def _proxy(command: list[str], *, kept: bool) -> Any:
    from fastmcp import Client  # noqa: PLC0415  # as above
    from fastmcp.client.transports import StdioTransport  # noqa: PLC0415
    from fastmcp.server import create_proxy  # noqa: PLC0415

    # The server speaks the older era, whatever the proxy's clients speak.
    transport = StdioTransport(command[0], command[1:])
    if not kept:
        return create_proxy(transport, mode="legacy").http_app(path="/mcp")
    client = Client(transport, mode="legacy")
    await client.__aenter__()  # until the process ends
    return create_proxy(client).http_app(path="/mcp")


async def _health(_request: Request) -> JSONResponse:
    return JSONResponse({"healthy": True})


async def main() -> None:
    """Serve until the process is ended."""
    kind, port, *command = sys.argv[1:]
    if command:
        app = await _proxy(command, kept=kind == "fastmcp-kept-proxy")
    else:
        app = _fastmcp() if kind == "fastmcp" else _sdk()
    app.add_route("/health", _health)
    config = uvicorn.Config(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    # As `uvicorn.run` does, which makes its own loop.
    uvloop.run(main())
