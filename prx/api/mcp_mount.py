"""`/mcp`, outside `/api/v1`: the edge's part of it. What is answered there is `prx.mcp.server`'s."""

from typing import Final

from aiohttp import hdrs, web

from prx.api.deps import MCP, REQUEST_ID, TOKEN
from prx.api.edge import Edge
from prx.api.expectations import known_expectation
from prx.api.routes import ANY_TOKEN
from prx.core.errors import BadRequestError
from prx.mcp.server.caller import CALL, LIST, Caller

PATH: Final = "/mcp"


def mount_mcp(app: web.Application, edge: Edge) -> None:
    """Add the path to `app`, with the methods of streamable HTTP."""

    async def serve(request: web.Request) -> web.StreamResponse:
        caller = _caller(request, edge)
        if not (caller.may_list or caller.may_call):
            raise caller.lacks(f"{LIST} or {CALL}")
        try:
            body = await request.read()
        except web.RequestPayloadError as error:
            raise BadRequestError("The request's body does not match its headers") from error
        # A call is bounded by its tool's own limits, and a stream stays open for news.
        edge.lift_deadline()
        return await request.app[MCP].serve(request, body, caller)

    for method in (hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_DELETE):
        app.router.add_route(method, PATH, edge.guarded(serve, ANY_TOKEN), expect_handler=known_expectation)


def _caller(request: web.Request, edge: Edge) -> Caller:
    token = request[TOKEN]
    return Caller(
        token_id=token.id,
        token_name=token.name,
        scopes=token.granted,
        request_id=request[REQUEST_ID],
        still_admitted=edge.admission(request),
    )
