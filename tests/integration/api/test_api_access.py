"""Who gets in: tokens, scopes, the Host header, readiness."""

from datetime import timedelta

import pytest
from aiohttp import web

from prx.api.app import EDGE, build_app, mount
from prx.api.routes import ANY_TOKEN, Routes
from prx.api.scopes import ROLES
from tests.integration.api.api_harness import Api, deps_of, serving

PROTECTED = [
    ("GET", "/api/v1/status", "status:read"),
    ("HEAD", "/api/v1/status", "status:read"),
    ("GET", "/api/v1/plugins", "plugins:read"),
    ("GET", "/api/v1/plugins/any", "plugins:read"),
    ("POST", "/api/v1/plugins/any/reload", "plugins:write"),
    ("POST", "/api/v1/plugins/any/disable", "plugins:write"),
    ("POST", "/api/v1/plugins/any/enable", "plugins:write"),
    ("GET", "/api/v1/tools", "tools:read"),
    ("POST", "/api/v1/tools/any/call", "tools:write"),
]


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in PROTECTED])
async def test_every_route_but_health_needs_a_token(api: Api, method: str, path: str) -> None:
    reply = await api.call(method, path, token=None)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    if method != "HEAD":
        assert reply.error["code"] == "unauthorized"
        assert "prx auth token" in reply.error["message"]


@pytest.mark.parametrize(("method", "path", "scope"), PROTECTED)
async def test_a_token_without_the_scope_is_refused_by_its_name(
    api: Api, method: str, path: str, scope: str
) -> None:
    secret, _ = api.tokens.create("narrow", scopes=sorted(ROLES["admin"] - {scope}))
    reply = await api.call(method, path, token=secret)
    assert reply.status == 403
    if method != "HEAD":
        assert reply.error["code"] == "forbidden"
        assert scope in reply.error["message"]
        assert reply.error["details"] == {"scope": scope}


@pytest.mark.parametrize(("method", "path", "scope"), PROTECTED)
async def test_a_token_with_just_the_scope_gets_through(api: Api, method: str, path: str, scope: str) -> None:
    secret, _ = api.tokens.create("fitting", scopes=[scope])
    assert (await api.call(method, path, token=secret)).status not in (401, 403)


any_token = Routes()


@any_token.get("/any", scope=ANY_TOKEN)
async def answer(_request: web.Request) -> web.Response:
    """Answer whoever has a token."""
    return web.Response()


async def test_a_route_for_any_token_asks_for_one_but_for_no_scope(api: Api) -> None:
    app = build_app(deps_of(api))
    mount(app, app[EDGE], any_token)
    narrow, _ = api.tokens.create("narrow", scopes=["logs:read"])
    async with serving(api, app):
        assert (await api.get("/any", token=narrow)).status == 200
        assert (await api.get("/any", token=None)).status == 401


async def test_health_needs_no_token_and_does_not_mind_a_wrong_one(api: Api) -> None:
    for token in (None, "prx_wrong"):
        reply = await api.get("/api/v1/status/health", token=token)
        assert (reply.status, reply.json()) == (200, {"healthy": True})


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "prx_x",
        "Bearer prx_wrong",
        "Bearer \xff\xfe",
        "bearer  prx_ x",
    ],
)
async def test_anything_but_a_valid_bearer_token_is_401(api: Api, header: str) -> None:
    reply = await api.get("/api/v1/status", token=None, headers={"Authorization": header})
    assert (reply.status, reply.error["code"]) == (401, "unauthorized")


async def test_the_scheme_may_be_spelled_in_any_case(api: Api) -> None:
    reply = await api.get("/api/v1/status", token=None, headers={"Authorization": f"bEARER {api.token}"})
    assert reply.status == 200


async def test_a_revoked_token_is_refused_by_the_next_request(api: Api) -> None:
    secret, token = api.tokens.create("short-lived")
    assert (await api.get("/api/v1/status", token=secret)).status == 200
    api.tokens.revoke(token.id)
    assert (await api.get("/api/v1/status", token=secret)).status == 401


async def test_an_expired_token_is_refused(api: Api) -> None:
    secret, _ = api.tokens.create("gone", expires_in=timedelta(seconds=-1))
    assert (await api.get("/api/v1/status", token=secret)).status == 401


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/nope", "/nope", "/"])
async def test_a_foreign_host_is_refused_everywhere(api: Api, path: str) -> None:
    reply = await api.get(path, headers={"Host": "evil.example"})
    assert (reply.status, reply.error["code"]) == (403, "forbidden")
    assert "allowed_hosts" in reply.error["message"]
    assert "evil" not in reply.error["message"]


async def test_health_answers_to_any_host(api: Api) -> None:
    assert (await api.get("/api/v1/status/health", headers={"Host": "evil.example"})).status == 200


async def test_a_request_without_a_host_is_refused(api: Api) -> None:
    [reply] = await api.raw(b"GET /api/v1/status HTTP/1.0\r\n\r\n")
    assert reply.status == 403


async def test_allowing_a_host_takes_effect_with_the_next_configuration(api: Api) -> None:
    assert (await api.get("/api/v1/status", headers={"Host": "prx.example"})).status == 403
    api.configure(allowed_hosts=["prx.example"])
    assert (await api.get("/api/v1/status", headers={"Host": "prx.example:3120"})).status == 200


async def test_while_the_daemon_drains_everything_is_503_and_the_connection_ends(api: Api) -> None:
    api.board.set_ready(ready=False)
    health = await api.get("/api/v1/status/health", token=None)
    assert (health.status, health.json()) == (503, {"healthy": False})
    for path in ("/api/v1/status", "/api/v1/tools", "/api/v1/nope"):
        reply = await api.get(path)
        assert (reply.status, reply.error["code"]) == (503, "unavailable")
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.headers["Connection"] == "close"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:8080", "", "http://"])
async def test_a_page_of_another_origin_is_refused_by_default(api: Api, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for method, token in (("GET", ...), ("GET", None), ("OPTIONS", ...), ("POST", ...)):
        reply = await api.call(method, "/api/v1/status", token=token, headers=asked)
        assert (reply.status, reply.error["code"]) == (403, "forbidden")
        assert "allowed_origins" in reply.error["message"]
        assert not [name for name in reply.headers if name.startswith("Access-Control")]
    assert (await api.get("/api/v1/status/health", headers=asked)).status == 200


@pytest.mark.parametrize("scheme", ["http", "HTTPS"])
async def test_a_page_that_the_daemon_or_a_proxy_before_it_serves_may_call(api: Api, scheme: str) -> None:
    api.configure(allowed_hosts=["prx.example.com"])
    headers = {"Host": "prx.example.com:8443", "Origin": f"{scheme}://PRX.example.com:8443"}
    assert (await api.get("/api/v1/status", headers=headers)).status == 200
    other = {**headers, "Origin": "https://prx.example.com"}
    assert (await api.get("/api/v1/status", headers=other)).status == 403


async def test_a_page_of_an_allowed_origin_may_ask_and_read(api: Api) -> None:
    api.configure(cors={"allowed_origins": ["https://console.example"]})
    asked = {"Origin": "https://console.example", "Access-Control-Request-Method": "POST"}
    preflight = await api.call("OPTIONS", "/api/v1/tools/echo/call", token=None, headers=asked)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://console.example"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    reply = await api.get("/api/v1/status", headers={"Origin": "https://console.example"})
    assert reply.headers["Access-Control-Allow-Origin"] == "https://console.example"
    foreign = await api.get("/api/v1/status", headers={"Origin": "https://evil.example"})
    assert foreign.status == 403
    assert "Access-Control-Allow-Origin" not in foreign.headers
    assert foreign.headers["Vary"] == "Origin"
