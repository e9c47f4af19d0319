"""The OpenAPI document, as it is made of declared routes."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import schemathesis
from aiohttp import web
from pydantic import Field

from prx.api.app import ROUTES
from prx.api.bodies import Answer, Body, Flag, PageLimit, Parameters, WholeNumber
from prx.api.contract import Header
from prx.api.errors import STATUS
from prx.api.openapi import describe
from prx.api.openapi_frame import REFUSALS
from prx.api.routes import ANY_TOKEN, PUBLIC, Routes

DOCUMENT = describe(ROUTES)
OPERATIONS = {
    f"{method} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Return every object in the document."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from nodes(inner)


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_component_is_there_and_used() -> None:
    references = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)}
    kinds = ("schemas", "headers", "responses")
    there = {f"#/components/{kind}/{name}" for kind in kinds for name in DOCUMENT["components"][kind]}
    unused_refusals = {f"#/components/responses/{refusal.name}" for refusal in REFUSALS.values()}
    assert references <= there
    assert there - references <= unused_refusals


def test_operations_have_names_of_their_own_and_say_what_they_do() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") for operation in OPERATIONS.values())
    assert all(tag["description"] for tag in DOCUMENT["tags"])


@pytest.mark.parametrize("title", OPERATIONS)
def test_an_answer_is_described_or_has_no_content(title: str) -> None:
    for status, response in OPERATIONS[title]["responses"].items():
        assert "$ref" in response or ("content" in response) == (status != "204")


def test_no_bound_is_told_in_words_that_json_schema_does_not_have() -> None:
    own = {"ge", "gt", "le", "lt", "min_length", "max_length", "multiple_of"}
    told = {"type", "anyOf", "$ref"}
    assert [node for node in nodes(DOCUMENT) if told & node.keys() and own & node.keys()] == []


def test_every_status_of_a_refusal_is_described() -> None:
    assert {*REFUSALS, STATUS["method_not_allowed"]} == set(STATUS.values())


class Thing(Answer):
    """A thing."""

    name: str


class Made(Body):
    """What a thing is made of."""

    name: str = Field(min_length=1)


class Which(Parameters):
    """Which things."""

    limit: PageLimit = 50
    offset: WholeNumber = 0
    name: Annotated[str, Field(min_length=1)] | None = None
    """Its name."""
    whole: Flag = False
    tag: list[str] = Field(default=["*"], max_length=2)


async def make_thing(_request: web.Request, _made: Made) -> web.Response:
    """Make a thing.

    It is made at once.
    """
    return web.Response()


async def list_things(_request: web.Request, _which: Which) -> web.Response:
    """Things."""
    return web.Response()


async def look(_request: web.Request) -> web.Response:
    """Look at it."""
    return web.Response()


def described(path: str, method: str, routes: Routes) -> dict[str, Any]:
    operation: dict[str, Any] = describe(list(routes))["paths"][path][method]
    return operation


def test_a_body_an_answer_and_refusals_are_described_as_they_are_declared() -> None:
    routes = Routes()
    routes.post("/things", scope="tools:write", body=Made, answer=Thing, status=201, refuses=(409,))(
        make_thing
    )
    operation = described("/things", "post", routes)
    assert operation["operationId"] == "make_thing"
    assert (operation["summary"], operation["description"]) == ("Make a thing.", "It is made at once.")
    assert operation["tags"] == ["test_openapi"]
    assert operation["security"] == [{"bearer": ["tools:write"]}]
    assert operation["requestBody"] == {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Made"}}},
        "required": True,
    }
    content = operation["responses"]["201"]["content"]
    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
    statuses = ["201", "400", "401", "403", "409", "413", "415", "429", "500", "503"]
    assert list(operation["responses"]) == statuses


def test_a_query_is_described_by_the_model_that_reads_it() -> None:
    routes = Routes()
    routes.get("/things", scope="tools:read", query=Which, answer=Thing)(list_things)
    parameters = described("/things", "get", routes)["parameters"]
    assert {parameter["name"]: parameter["schema"] for parameter in parameters} == {
        "limit": {"type": "integer", "default": 50, "minimum": 1, "maximum": 500},
        "offset": {"type": "integer", "default": 0, "minimum": 0, "maximum": 999_999_999},
        "name": {"type": "string", "minLength": 1},
        "whole": {"type": "boolean", "default": False},
        "tag": {"type": "array", "items": {"type": "string"}, "default": ["*"], "maxItems": 2},
    }
    assert [parameter.get("description") for parameter in parameters] == [None, None, "Its name.", None, None]


def test_a_public_route_asks_for_no_token_and_any_token_has_no_scope() -> None:
    routes = Routes()
    routes.get("/open", scope=PUBLIC, answer=Thing)(look)
    routes.get("/any", scope=ANY_TOKEN, answer=Thing)(look)
    paths = describe(list(routes))["paths"]
    assert paths["/open"]["get"]["security"] == []
    assert list(paths["/open"]["get"]["responses"]) == ["200", "400", "500"]
    assert paths["/any"]["get"]["security"] == [{"bearer": []}]


def test_paths_headers_and_streams_are_described() -> None:
    routes = Routes()
    routes.get(
        "/things/{id}/parts/{part}",
        scope="tools:read",
        streams={"thing": Thing},
        headers={"If-Match": Header("Only this one.", "^x")},
        sends={"ETag": "Names it."},
    )(look)
    operation = described("/things/{id}/parts/{part}", "get", routes)
    assert [(found["name"], found["in"]) for found in operation["parameters"]] == [
        ("id", "path"),
        ("part", "path"),
        ("If-Match", "header"),
    ]
    assert operation["parameters"][2]["schema"] == {"type": "string", "pattern": "^x"}
    answer = operation["responses"]["200"]
    assert answer["headers"]["ETag"]["description"] == "Names it."
    [event] = answer["content"]["text/event-stream"]["schema"]["oneOf"]
    assert event["properties"]["event"] == {"const": "thing"}
    assert event["properties"]["data"]["contentSchema"] == {"$ref": "#/components/schemas/Thing"}


def test_an_upload_is_described_as_files() -> None:
    [upload] = [o for o in OPERATIONS.values() if o["operationId"] == "install_plugin"]
    form = upload["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["items"]["contentMediaType"] == "application/octet-stream"
