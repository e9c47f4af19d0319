"""Declaring routes."""

import pytest
from aiohttp import web

from prx.api.routes import PUBLIC, Guard, Routes


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
