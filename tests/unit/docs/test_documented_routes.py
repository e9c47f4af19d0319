"""`docs/api.md` and the route table are the same, in both directions."""

import importlib
import pkgutil
import re

import pytest

from prx.api import views
from prx.api.errors import _STATUS
from prx.api.routes import PUBLIC, Route
from tests.unit.docs.documents import DOCS, sections

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


def test_every_route_is_documented_and_every_documented_one_exists() -> None:
    assert sorted(DOCUMENTED) == sorted(DECLARED)


@pytest.mark.parametrize("title", DECLARED)
def test_the_scope_of_a_route_is_the_documented_one(title: str) -> None:
    scope = DECLARED[title].scope
    first_line = DOCUMENTED[title].strip().splitlines()[0]
    assert first_line.startswith("Scope: none" if scope == PUBLIC else f"Scope: `{scope}`")


@pytest.mark.parametrize("title", DECLARED)
def test_the_refusals_of_a_route_are_the_documented_ones(title: str) -> None:
    first_line = DOCUMENTED[title].strip().splitlines()[0]
    documented = first_line.partition("· Errors: ")[2].split(", ")
    assert [int(status) for status in documented if status] == sorted(DECLARED[title].contract.refusals)


def test_every_error_code_of_the_api_is_documented_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", sections(TEXT, 2)["Errors"], re.MULTILINE)
    assert {code: int(status) for status, code in rows} == dict(_STATUS)
