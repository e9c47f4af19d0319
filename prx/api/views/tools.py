"""Tools: everything callable, and a direct call."""

from typing import Any, cast

from aiohttp import web
from pydantic import Field

from prx.api.answers.tools import ReceiptShown, ToolList, ToolOutcome, ToolRow
from prx.api.bodies import Body, reply
from prx.api.deps import REQUEST_ID, ROUTER
from prx.api.routes import Routes
from prx.core.tool import CallContext, ToolResult, ToolSpec

routes = Routes()


class ToolCall(Body):
    """The body of a direct call."""

    arguments: dict[str, Any] = Field(default_factory=dict, examples=[{"number": "79927398713"}])
    """What the tool is called with; its JSON Schema is in `GET /tools`."""


@routes.get("/tools", scope="tools:read", answer=ToolList)
async def list_tools(request: web.Request) -> web.Response:
    """Every tool that can be called now, by name."""
    return reply({"tools": [_described(spec) for spec in request.app[ROUTER].specs()]})


@routes.post(
    "/tools/{name}/call", scope="tools:write", body=ToolCall, answer=ToolOutcome, refuses=(403, 404, 409, 503)
)
async def call_tool(request: web.Request, body: ToolCall) -> web.Response:
    """Run a tool; one that ran and failed is a 200 with `success` false."""
    context = CallContext(request_id=request[REQUEST_ID])
    result = await request.app[ROUTER].call(request.match_info["name"], body.arguments, context)
    return reply(_outcome(result))


def _described(spec: ToolSpec) -> ToolRow:
    return {
        "name": spec.name,
        "description": spec.description,
        "parameters": dict(spec.parameters),
        "source": spec.source,
    }


def _outcome(result: ToolResult) -> ToolOutcome:
    return {
        "success": result.success,
        "output": result.output,
        "error": None
        if result.error is None
        else {"code": result.error.code, "message": result.error.message},
        "receipt": None if result.receipt is None else cast("ReceiptShown", result.receipt._asdict()),
    }
