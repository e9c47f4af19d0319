"""An MCP server on the SDK that asks its client, as the era of the connection has it.

`python asking.py [newest] [http PORT]`: over stdio, or over HTTP; `newest` has it refuse the handshake of before 2026.
"""

import asyncio
import json
import sys
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    GetPromptRequestParams,
    ListRootsRequest,
    ListRootsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SetLevelRequestParams,
    SubscriptionsListenRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]

NEWEST_ONLY = "newest" in sys.argv
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
QUESTIONS: Json = {
    "elicitation/create": {"message": "Who?", "requestedSchema": SCHEMA},
    "sampling/createMessage": {
        "messages": [{"role": "user", "content": {"type": "text", "text": "Hi"}}],
        "maxTokens": 50,
    },
    "roots/list": {},
}
MODELS: Any = {
    "elicitation/create": (ElicitRequest, ElicitResult),
    "sampling/createMessage": (CreateMessageRequest, CreateMessageResult),
    "roots/list": (ListRootsRequest, ListRootsResult),
}
TOOLS = ("ask", "can", "endless", "patient", "say", "touch")


async def asked(context: Context, arguments: Json) -> Json:
    """Ask for each of `what`, with the params in `params`; return all answers, or what has to be answered first."""
    params = QUESTIONS | arguments.get("params", {})
    questions = {method: {"method": method, "params": params[method]} for method in arguments["what"]}
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        answers = {}
        for method, question in questions.items():
            model, result = MODELS[method]
            found = await context.session.send_request(model.model_validate(question, by_name=False), result)
            answers[method] = found.model_dump(by_alias=True, mode="json", exclude_none=True)
        return {"answers": answers}
    given: Json = context.params or {}
    if "inputResponses" not in given:
        return {"resultType": "input_required", "inputRequests": questions, "requestState": "the first round"}
    return {"answers": given["inputResponses"], "state": given["requestState"]}


def whole(**result: Any) -> Json:
    return {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result}


def text(value: Any) -> Json:
    said = value if isinstance(value, str) else json.dumps(value)
    return {"resultType": "complete", "content": [{"type": "text", "text": said}]}


class Asking:
    """The handlers."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.listening = ListenHandler(self.bus)
        self.listened: list[Any] = []

    async def list_tools(self, _context: Context, _params: Any) -> Json:
        return whole(tools=[{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS])

    async def call(self, context: Context, params: CallToolRequestParams) -> Json:
        try:
            return await self._call(context, params.name, params.arguments or {})
        except MCPError as error:
            return text(f"{error.error.code}: {error.error.message}") | {"isError": True}

    async def _call(self, context: Context, name: str, arguments: Json) -> Json:
        given: Json = context.params or {}
        rounds = int(given.get("requestState") or 0) if name in ("endless", "patient") else 0
        again = {"resultType": "input_required", "requestState": str(rounds + 1)}
        match name:
            case "ask":
                found = await asked(context, arguments)
                return found if "inputRequests" in found else text(found)
            case "can":
                declared = context.session.client_capabilities
                return text({} if declared is None else declared.model_dump(mode="json", exclude_none=True))
            case "endless":
                return again | {"inputRequests": {"q": {"method": "roots/list", "params": {}}}}
            case "patient":
                return again if rounds < 3 else text(f"after {rounds} rounds")
            case "say":
                await context.session.send_log_message("info", "said", related_request_id=context.request_id)
                return text("")
            case _:
                await self.bus.publish(ResourceUpdated(uri=arguments["uri"]))
                return text(self.listened)

    async def set_level(self, _context: Context, _params: SetLevelRequestParams) -> Json:
        return {}

    async def list_prompts(self, _context: Context, _params: Any) -> Json:
        return whole(prompts=[{"name": "greet"}])

    async def get_prompt(self, context: Context, params: GetPromptRequestParams) -> Json:
        found = await asked(context, {"what": ["elicitation/create"]})
        if "inputRequests" in found:
            return found
        content = {"type": "text", "text": json.dumps(found["answers"])}
        messages = [{"role": "user", "content": content}]
        return {"resultType": "complete", "messages": messages, "description": params.name}

    async def list_resources(self, _context: Context, _params: Any) -> Json:
        return whole(resources=[{"uri": f"memo://{n}", "name": str(n)} for n in (1, 2)])

    async def read(self, context: Context, params: ReadResourceRequestParams) -> Json:
        found = await asked(context, {"what": ["roots/list"]})
        if "inputRequests" in found:
            return found
        return whole(contents=[{"uri": str(params.uri), "text": json.dumps(found["answers"])}])

    async def listen(self, context: Context, params: SubscriptionsListenRequestParams) -> Any:
        uris = sorted(params.notifications.resource_subscriptions or ())
        self.listened.append(uris)
        told = [uri for uri in uris if uri != "memo://silent"]
        wanted = params.notifications.model_copy(update={"resource_subscriptions": told})
        return await self.listening(context, params.model_copy(update={"notifications": wanted}))


async def refuse_handshake(context: Context, go_on: Any) -> Any:
    if NEWEST_ONLY and context.method == "initialize":
        raise MCPError(-32601, "there is no handshake any more")
    return await go_on(context)


def make() -> Server[Any]:
    asking = Asking()
    server: Server[Any] = Server("asking", version="1")
    for method, params, handler in (
        ("tools/list", PaginatedRequestParams, asking.list_tools),
        ("tools/call", CallToolRequestParams, asking.call),
        ("prompts/list", PaginatedRequestParams, asking.list_prompts),
        ("prompts/get", GetPromptRequestParams, asking.get_prompt),
        ("resources/list", PaginatedRequestParams, asking.list_resources),
        ("resources/read", ReadResourceRequestParams, asking.read),
        ("logging/setLevel", SetLevelRequestParams, asking.set_level),
        ("subscriptions/listen", SubscriptionsListenRequestParams, asking.listen),
    ):
        server.add_request_handler(method, params, handler)
    server.middleware.append(refuse_handshake)
    return server


async def main() -> None:
    """Serve until stdin ends, or for ever."""
    server = make()
    if "http" in sys.argv:
        import uvicorn  # noqa: PLC0415  # takes a while, and most tests do without

        port = int(sys.argv[sys.argv.index("http") + 1])
        await uvicorn.Server(
            uvicorn.Config(server.streamable_http_app(), port=port, log_level="error")
        ).serve()
        return
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
