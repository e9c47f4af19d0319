"""`docs/api.md` and the route table are the same, in both directions."""

import importlib
import pkgutil
import re
from typing import Any

import pytest

from prx.api import views
from prx.api.app import ROUTES
from prx.api.errors import STATUS
from prx.api.openapi import describe
from prx.api.routes import ANY_TOKEN, PUBLIC, Route
from prx.config.schema import Config
from tests.unit.docs.documents import DOCS, anchor_of, sections

TEXT = (DOCS / "api.md").read_text()
_TITLE = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE) /\S*")
DOCUMENTED = {title: text for title, text in sections(TEXT, 2).items() if _TITLE.fullmatch(title)}


def declared() -> dict[str, Route]:
    """Return every route of every view, titled as the document does; `HEAD` goes with its `GET`."""
    found = {}
    for module in pkgutil.iter_modules(views.__path__, f"{views.__name__}."):
        for route in importlib.import_module(module.name).routes:
            if route.method != "HEAD":
                path = re.sub(r"\{(\w+)\}", r":\1", route.path)
                found[f"{route.method} {path}"] = route
    return found


DECLARED = declared()
OPENAPI = describe(ROUTES)


def test_every_route_is_documented_and_every_documented_one_exists() -> None:
    assert sorted(DOCUMENTED) == sorted(DECLARED)


@pytest.mark.parametrize("title", DECLARED)
def test_the_scope_of_a_route_is_the_documented_one(title: str) -> None:
    scope = DECLARED[title].scope
    first_line = DOCUMENTED[title].strip().splitlines()[0]
    said = {PUBLIC: "none, not even a token", ANY_TOKEN: "none, but any valid token"}.get(scope, f"`{scope}`")
    assert first_line.startswith(f"Scope: {said}")


@pytest.mark.parametrize("title", DECLARED)
def test_the_refusals_of_a_route_are_the_documented_ones(title: str) -> None:
    first_line = DOCUMENTED[title].strip().splitlines()[0]
    documented = first_line.partition("· Errors: ")[2].split(", ")
    assert [int(status) for status in documented if status] == sorted(DECLARED[title].contract.refusals)


def fields_of(schema: dict[str, Any]) -> set[str]:
    """Return the names that a schema of the document has, lists of rows opened."""
    if "$ref" in schema:
        schema = OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found = set(schema.get("properties", {}))
    for inner in schema.get("properties", {}).values():
        found |= fields_of(inner.get("items", {}))
    return found


@pytest.mark.parametrize("title", [title for title, route in DECLARED.items() if route in ROUTES])
def test_every_parameter_and_field_of_a_route_is_mentioned(title: str) -> None:
    route = DECLARED[title]
    if route.contract.answer is Config:
        return  # docs/configuration.md has its fields
    operation = OPENAPI["paths"][route.path][route.method.lower()]
    names = {found["name"] for found in operation.get("parameters", []) if found["in"] != "path"}
    contents = [part.get("content", {}) for part in operation["responses"].values()]
    if "requestBody" in operation:
        contents.append(operation["requestBody"]["content"])
    for content in contents:
        names |= fields_of(content.get("application/json", {}).get("schema", {}))
    # What a section points to may tell it, as may the one that reads what is changed here.
    linked = [text for other, text in DOCUMENTED.items() if f"](#{anchor_of(other)})" in DOCUMENTED[title]]
    text = "".join([DOCUMENTED[title], DOCUMENTED.get(f"GET {title.partition(' ')[2]}", ""), *linked])
    assert {
        name for name in names if not re.search(rf"[`\"?&]{re.escape(name)}[`\"=]|{name}:", text)
    } == set()


def test_every_error_code_of_the_api_is_documented_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", sections(TEXT, 2)["Errors"], re.MULTILINE)
    assert {code: int(status) for status, code in rows} == dict(STATUS)
