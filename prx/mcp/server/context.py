"""What the SDK's handlers need to know of the request that they answer."""

from typing import Any

from mcp.server.context import ServerRequestContext

from prx.mcp.server import exchange
from prx.mcp.server.exchange import Exchange

Context = ServerRequestContext[Any, Any]


def exchange_of(context: Context) -> Exchange:
    """Return the HTTP request on its way."""
    request: Any = context.request
    found = request.scope[exchange.KEY]
    assert isinstance(found, Exchange)  # noqa: S101 - tells the type; every request comes through one
    return found
