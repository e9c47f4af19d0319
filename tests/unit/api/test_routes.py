"""Declaring routes."""

from collections.abc import AsyncGenerator

import pytest
from aiohttp import web

from prx.api.bodies import Body
from prx.api.routes import PUBLIC, Guard, Routes
from prx.plugins.installer import Part


async def answer(_request: web.Request) -> web.Response:
    return web.Response()


def test_a_get_brings_its_head_and_a_post_is_alone() -> None:
    routes = Routes()
    routes.get("/a", scope="status:read")(answer)
    routes.post("/b", scope="tools:write")(answer)
    assert [(route.method, route.path, route.scope) for route in routes] == [
        ("GET", "/a", "status:read"),
        ("HEAD", "/a", "status:read"),
        ("POST", "/b", "tools:write"),
    ]


def test_what_a_route_answers_follows_from_its_declaration() -> None:
    routes = Routes()
    routes.get("/json", scope="status:read", answer=dict)(answer)
    routes.get("/stream", scope="status:read", streams={"log": dict})(answer)
    routes.post("/nothing", scope="tools:write")(answer)
    routes.post("/made", scope="tools:write", answer=dict, status=(200, 201))(answer)
    statuses = {route.path: route.contract.statuses for route in routes}
    assert statuses == {"/json": (200,), "/stream": (200,), "/nothing": (204,), "/made": (200, 201)}


def test_a_view_that_reads_nothing_is_the_handler_itself() -> None:
    routes = Routes()
    routes.get("/a", scope="status:read")(answer)
    assert {route.handler for route in routes} == {answer}


class Sent(Body):
    """What is sent."""

    word: str


async def answer_to(_request: web.Request, _sent: Sent) -> web.Response:
    return web.Response()


async def answer_to_files(_request: web.Request, _parts: AsyncGenerator[Part, None]) -> web.Response:
    return web.Response()


def test_what_is_read_can_be_refused() -> None:
    routes = Routes()
    routes.post("/body", scope="tools:write", body=Sent, refuses=(404,))(answer_to)
    routes.get("/query", scope="tools:read", query=Sent)(answer_to)
    routes.post("/files", scope="tools:write", upload=1)(answer_to_files)
    refusals = {route.path: route.contract.refusals for route in routes}
    assert refusals == {"/body": {400, 404, 413, 415}, "/query": {400}, "/files": {400, 413, 415}}


def test_an_unknown_scope_fails_where_the_route_is_declared() -> None:
    with pytest.raises(ValueError, match='GET /a: unknown scope "status:reed"'):
        Routes().get("/a", scope="status:reed")


@pytest.mark.parametrize(
    ("scope", "group"),
    [
        ("sessions:write", "sessions_write"),
        ("sessions:read", "sessions_read"),
        ("config:write", "config_write"),
        ("config:read", "other"),
        ("tools:write", "other"),
        ("plugins:admin", "other"),
        (PUBLIC, "other"),
    ],
)
def test_the_group_of_rate_limits_follows_from_the_scope(scope: str, group: str) -> None:
    assert Guard.of(scope).group == group


def test_only_a_public_route_is_a_probe_without_a_token() -> None:
    assert Guard.of(PUBLIC) == Guard(scope=None, group="other", probe=True)
    assert not Guard.of("status:read").probe
