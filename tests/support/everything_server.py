"""An MCP server over stdio with everything that the official conformance suite asks a server for.

python -m tests.support.everything_server
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    CompleteRequestParams,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    GetPromptRequestParams,
    LoggingMessageNotification,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]

# A picture of one red point, and a sound of no length.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = base64.b64encode(
    b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0@\x1f\0\0\x01\0\x08\0data\0\0\0\0"
).decode()
_STEP_SECS = 0.05
LEVELS: list[str] = []
_CHOICES = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]
_OPTIONS = [f"option{n}" for n in (1, 2, 3)]


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def image() -> Json:
    return {"type": "image", "data": PNG, "mimeType": "image/png"}


def embedded(uri: str, mime: str, value: str) -> Json:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": value}}


async def with_logging(context: Context, _arguments: Json) -> list[Json]:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        message = {"method": "notifications/message", "params": {"level": "info", "data": line}}
        told = LoggingMessageNotification.model_validate(message, by_name=False)
        await context.session.send_notification(told, context.request_id)
        await asyncio.sleep(_STEP_SECS)
    return [text("It was logged.")]


async def with_progress(context: Context, _arguments: Json) -> list[Json]:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await asyncio.sleep(_STEP_SECS)
    return [text("It is done.")]


async def touch(context: Context, arguments: Json) -> list[Json]:
    """Not of the suite: tell that a resource changed, and of lists that did."""
    await context.session.send_resource_updated(arguments["uri"])
    await context.session.send_prompt_list_changed()
    await context.session.send_resource_list_changed()
    return []


async def level(_context: Context, _arguments: Json) -> list[Json]:
    """Not of the suite: give the level of the log that was asked for last."""
    return [text(LEVELS[-1] if LEVELS else "none")]


async def set_level(_context: Context, params: SetLevelRequestParams) -> Json:
    LEVELS.append(params.level)
    return {}


async def fail(_context: Context, _arguments: Json) -> list[Json]:
    raise RuntimeError("This tool intentionally returns an error for testing")


async def sample(context: Context, arguments: Json) -> list[Json]:
    message = {"role": "user", "content": text(arguments["prompt"])}
    asked = {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}}
    request = CreateMessageRequest.model_validate(asked, by_name=False)
    answer = await context.session.send_request(request, CreateMessageResult)
    return [text(f"LLM response: {answer.content}")]


def eliciting(properties: Json, required: list[str] | None = None) -> Callable[..., Awaitable[list[Json]]]:
    async def elicit(context: Context, arguments: Json) -> list[Json]:
        schema = {"type": "object", "properties": properties, "required": required or []}
        params = {"message": arguments.get("message", "Please choose"), "requestedSchema": schema}
        asked = {"method": "elicitation/create", "params": params}
        request = ElicitRequest.model_validate(asked, by_name=False)
        answer = await context.session.send_request(request, ElicitResult)
        return [text(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")]

    return elicit


def giving(*content: Json) -> Callable[..., Awaitable[list[Json]]]:
    async def give(_context: Context, _arguments: Json) -> list[Json]:
        return list(content)

    return give


NOTHING: Json = {"type": "object"}
TOOLS: dict[str, tuple[Json, Callable[..., Awaitable[list[Json]]]]] = {
    "test_simple_text": (NOTHING, giving(text("This is a simple text response for testing."))),
    "test_image_content": (NOTHING, giving(image())),
    "test_audio_content": (NOTHING, giving({"type": "audio", "data": WAV, "mimeType": "audio/wav"})),
    "test_embedded_resource": (
        NOTHING,
        giving(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")),
    ),
    "test_multiple_content_types": (
        NOTHING,
        giving(
            text("Multiple content types test:"),
            image(),
            embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ),
    ),
    "test_tool_with_logging": (NOTHING, with_logging),
    "test_tool_with_progress": (NOTHING, with_progress),
    "test_error_handling": (NOTHING, fail),
    "test_reconnection": (NOTHING, giving(text("Reconnection test completed."))),
    "test_logging_tool": (NOTHING, with_logging),
    "test_custom_headers": (
        {"type": "object", "properties": {"where": {"type": "string", "x-mcp-header": "Where"}}},
        giving(text("Headers were compared.")),
    ),
    "level": (NOTHING, level),
    "touch": ({"type": "object", "properties": {"uri": {"type": "string"}}}, touch),
    "test_sampling": (
        {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
        sample,
    ),
    "test_elicitation": (
        {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
        eliciting(
            {
                "username": {"type": "string", "description": "User's response"},
                "email": {"type": "string", "description": "User's email address"},
            },
            ["username", "email"],
        ),
    ),
    "test_elicitation_sep1034_defaults": (
        NOTHING,
        eliciting(
            {
                "name": {"type": "string", "default": "John Doe"},
                "age": {"type": "integer", "default": 30},
                "score": {"type": "number", "default": 95.5},
                "status": {
                    "type": "string",
                    "enum": ["active", "inactive", "pending"],
                    "default": "active",
                },
                "verified": {"type": "boolean", "default": True},
            }
        ),
    ),
    "test_elicitation_sep1330_enums": (
        NOTHING,
        eliciting(
            {
                "untitledSingle": {"type": "string", "enum": _OPTIONS},
                "titledSingle": {"type": "string", "oneOf": _CHOICES},
                "legacyEnum": {
                    "type": "string",
                    "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["Option One", "Option Two", "Option Three"],
                },
                "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
                "titledMulti": {"type": "array", "items": {"anyOf": _CHOICES}},
            }
        ),
    ),
    "json_schema_2020_12_tool": (
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                }
            },
            "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
            "additionalProperties": False,
        },
        giving(text("valid")),
    ),
}

RESOURCES: dict[str, Json] = {
    "test://static-text": {
        "mimeType": "text/plain",
        "text": "This is the content of the static text resource.",
    },
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watch me."},
}
TEMPLATE = "test://template/{id}/data"

PROMPTS: dict[str, list[str]] = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
}


def messages(name: str, given: dict[str, str]) -> list[Json]:
    match name:
        case "test_simple_prompt":
            return [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            return [text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'")]
        case "test_prompt_with_embedded_resource":
            resource = embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
            return [resource, text("Please process the embedded resource above.")]
        case _:
            return [image(), text("Please analyze the image above.")]


async def list_tools(_context: Context, _params: Any) -> Json:
    listed = [
        {"name": name, "description": f"The tool {name}", "inputSchema": schema}
        for name, (schema, _) in TOOLS.items()
    ]
    return {"tools": listed}


async def call_tool(context: Context, params: CallToolRequestParams) -> Json:
    try:
        return {"content": await TOOLS[params.name][1](context, params.arguments or {})}
    except (RuntimeError, MCPError) as error:
        return {"content": [text(str(error))], "isError": True}


async def list_resources(_context: Context, _params: Any) -> Json:
    listed = [
        {"uri": uri, "name": uri, "description": f"The resource {uri}", "mimeType": content["mimeType"]}
        for uri, content in RESOURCES.items()
    ]
    return {"resources": listed}


async def list_templates(_context: Context, _params: Any) -> Json:
    template = {"uriTemplate": TEMPLATE, "name": "template", "mimeType": "application/json"}
    return {"resourceTemplates": [template]}


async def read_resource(_context: Context, params: ReadResourceRequestParams) -> Json:
    uri = str(params.uri)
    if uri.startswith("test://template/"):
        number = uri.split("/")[3]
        data = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": data}]}
    if uri not in RESOURCES:
        raise MCPError(-32002, f"Resource not found: {uri}")
    return {"contents": [{"uri": uri, **RESOURCES[uri]}]}


async def list_prompts(_context: Context, _params: Any) -> Json:
    listed = [
        {
            "name": name,
            "description": f"The prompt {name}",
            "arguments": [{"name": each, "required": True} for each in arguments],
        }
        for name, arguments in PROMPTS.items()
    ]
    return {"prompts": listed}


async def get_prompt(_context: Context, params: GetPromptRequestParams) -> Json:
    found = messages(params.name, params.arguments or {})
    return {"messages": [{"role": "user", "content": content} for content in found]}


async def complete(_context: Context, params: CompleteRequestParams) -> Json:
    values = [f"{params.argument.value}-{n}" for n in (1, 2)]
    return {"completion": {"values": values, "total": 2, "hasMore": False}}


async def nothing(_context: Context, _params: Any) -> Json:
    return {}


async def main() -> None:
    """Serve until stdin ends."""
    server: Server[Any] = Server("everything", version="1")
    for method, params, handler in (
        ("tools/list", PaginatedRequestParams, list_tools),
        ("tools/call", CallToolRequestParams, call_tool),
        ("resources/list", PaginatedRequestParams, list_resources),
        ("resources/templates/list", PaginatedRequestParams, list_templates),
        ("resources/read", ReadResourceRequestParams, read_resource),
        ("resources/subscribe", SubscribeRequestParams, nothing),
        ("resources/unsubscribe", UnsubscribeRequestParams, nothing),
        ("prompts/list", PaginatedRequestParams, list_prompts),
        ("prompts/get", GetPromptRequestParams, get_prompt),
        ("completion/complete", CompleteRequestParams, complete),
        ("logging/setLevel", SetLevelRequestParams, set_level),
    ):
        server.add_request_handler(method, params, handler)
    changing = NotificationOptions(tools_changed=True, prompts_changed=True, resources_changed=True)
    options = server.create_initialization_options(changing)
    async with stdio_server() as (read, write):
        await server.run(read, write, options)


if __name__ == "__main__":
    asyncio.run(main())
