"""`GET /openapi.json`: OpenAPI 3.1, made of the same declarations that the routes are served by."""

import asyncio
import inspect
import json
import sys
from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Any, Final

from prx import __version__
from prx.api.answers.errors import ErrorAnswer
from prx.api.contract import Contract, Header
from prx.api.openapi_frame import HEADERS, INFO, REFUSALS, SECURITY, header, headers_of
from prx.api.openapi_schemas import Schemas, parameters_of_path, parameters_of_query
from prx.api.routes import ANY_TOKEN, PUBLIC, Route

_JSON: Final = "application/json"
_OF_EVERY_ROUTE: Final = frozenset({400, 500})
_OF_A_TOKEN: Final = frozenset({401, 403, 429, 503})


class Document:
    """The document as it is sent: made when it is first asked for, and then kept."""

    def __init__(self, routes: Collection[Route]) -> None:
        """Describe `routes`."""
        self._routes = routes
        self._content: bytes | None = None

    async def content(self) -> bytes:
        """Return the document as JSON."""
        if self._content is None:
            document = await asyncio.to_thread(describe, self._routes)
            self._content = json.dumps(document, ensure_ascii=False).encode()
        return self._content


def describe(routes: Collection[Route]) -> dict[str, Any]:
    """Return the document of `routes`; the `HEAD` that goes with each `GET` is not listed."""
    listed = [route for route in routes if route.method != "HEAD"]
    schemas = Schemas(ErrorAnswer, *(model for route in listed for model in route.contract.models()))
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": INFO | {"version": __version__},
        "servers": [{"url": "/api/v1", "description": "The daemon that this document comes from"}],
        "tags": _tags(listed),
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": HEADERS,
            "responses": {
                refusal.name: _response(
                    refusal.meaning, headers_of(*refusal.headers), {_JSON: schemas.of(ErrorAnswer)}
                )
                for refusal in REFUSALS.values()
            },
            "securitySchemes": SECURITY,
        },
    }


def _tags(routes: Iterable[Route]) -> list[dict[str, str]]:
    modules = dict.fromkeys(route.view.__module__ for route in routes)
    return [
        {"name": _tag(module), "description": inspect.cleandoc(sys.modules[module].__doc__ or "")}
        for module in modules
    ]


def _tag(module: str) -> str:
    return module.rpartition(".")[2]


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    summary, _, more = inspect.cleandoc(route.view.__doc__ or "").partition("\n")
    parameters = [
        *parameters_of_path(route.path),
        *([] if route.contract.query is None else parameters_of_query(route.contract.query)),
        *(_header(name, declared) for name, declared in route.contract.headers.items()),
    ]
    operation: dict[str, Any] = {
        "operationId": route.view.__name__,
        "tags": [_tag(route.view.__module__)],
        "summary": summary,
        "security": _security(route.scope),
        "responses": _responses(route, schemas),
    }
    if more.strip():
        operation["description"] = more.strip()
    if parameters:
        operation["parameters"] = parameters
    if (body := _body(route.contract, schemas)) is not None:
        operation["requestBody"] = body
    return operation


def _header(name: str, declared: Header) -> dict[str, Any]:
    schema = {"type": "string"} | ({} if declared.pattern is None else {"pattern": declared.pattern})
    return {"name": name, "in": "header", "description": declared.meaning, "schema": schema}


def _security(scope: str) -> list[dict[str, list[str]]]:
    # What other schemes than OAuth 2 list here are roles that are needed: the scope of the token.
    return [] if scope == PUBLIC else [{"bearer": [] if scope == ANY_TOKEN else [scope]}]


def _body(contract: Contract, schemas: Schemas) -> dict[str, Any] | None:
    if contract.body is not None:
        content = {_JSON: {"schema": schemas.of(contract.body)}}
        return {"content": content, "required": contract.body_required}
    if contract.upload is None:
        return None
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {
        "type": "object",
        "properties": {"file": {"type": "array", "items": file, "minItems": 1}},
        "required": ["file"],
    }
    return {
        "description": f"Files, of {contract.upload} bytes in all at most.",
        "content": {"multipart/form-data": {"schema": form}},
        "required": True,
    }


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    contract = route.contract
    content: dict[str, Any] = {}
    if contract.answer is not None:
        content[_JSON] = schemas.of(contract.answer)
    if contract.streams:
        content["text/event-stream"] = {
            "description": "Server-Sent Events, of which this is each one.",
            "oneOf": [_event(name, schemas.of(data)) for name, data in contract.streams.items()],
        }
    headers = headers_of() | {
        name: header(meaning, required=True) for name, meaning in contract.sends.items()
    }
    found = {
        str(status): _response(HTTPStatus(status).phrase, headers, content) for status in contract.statuses
    }
    refusals = contract.refusals | _OF_EVERY_ROUTE | (frozenset() if route.scope == PUBLIC else _OF_A_TOKEN)
    return found | {
        str(status): {"$ref": f"#/components/responses/{REFUSALS[status].name}"}
        for status in sorted(refusals - set(contract.statuses))
    }


def _event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    # As OpenAPI 3.2 describes the events of a stream, for which 3.1 has no words of its own.
    return {
        "type": "object",
        "properties": {
            "event": {"const": name},
            "id": {"type": "string"},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
        "required": ["event", "data"],
    }


def _response(meaning: str, headers: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": meaning, "headers": headers}
    if content:
        response["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    return response
