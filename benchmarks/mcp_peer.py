"""An MCP server with one Python tool, as one writes it: with `fastmcp`, or with the SDK itself, on uvicorn.

python mcp_peer.py fastmcp|sdk PORT
"""

import sys
from typing import Any

import uvicorn
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


async def _health(_request: Request) -> JSONResponse:
    return JSONResponse({"healthy": True})


def main() -> None:
    """Serve until the process is ended."""
    kind, port = sys.argv[1:]
    app = _fastmcp() if kind == "fastmcp" else _sdk()
    app.add_route("/health", _health)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
