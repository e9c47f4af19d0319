"""`GET /openapi.json`: the document of the routes that are really served."""

from prx.api.app import EDGE, PREFIX
from prx.api.routes import ANY_TOKEN
from tests.integration.api.api_harness import Api

PATH = "/api/v1/openapi.json"


async def test_the_document_lists_every_route_with_its_scope_and_nothing_else(api: Api) -> None:
    assert api.app is not None
    served = {}
    for route in api.app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if path.startswith(PREFIX) and route.method != "HEAD":
            served[f"{route.method} {path.removeprefix(PREFIX)}"] = api.app[EDGE]._guards[route.handler].scope
    document = (await api.get(PATH)).json()
    documented = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scopes = [scope for needed in operation["security"] for scope in needed["bearer"] or [ANY_TOKEN]]
            documented[f"{method.upper()} {path}"] = scopes[0] if scopes else None
    assert documented == served


async def test_any_token_may_read_it_and_nobody_else(api: Api) -> None:
    narrow, _ = api.tokens.create("narrow", scopes=["logs:read"])
    assert (await api.get(PATH, token=narrow)).status == 200
    assert (await api.get(PATH, token=None)).status == 401


async def test_it_is_made_once(api: Api) -> None:
    first, again = await api.get(PATH), await api.get(PATH)
    assert first.json()["openapi"] == "3.1.0"
    assert first.body == again.body
