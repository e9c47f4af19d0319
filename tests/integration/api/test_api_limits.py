"""Rate limits as a client sees them. The limiters' clock stands still unless the test turns it."""

import asyncio
import time

import pytest
from aiohttp import web

from prx.api.app import EDGE, build_app, mount
from prx.api.routes import Routes
from tests.integration.api.api_harness import Api, Reply, deps_of, serving

grouped = Routes()


async def done(_request: web.Request) -> web.Response:
    return web.Response()


grouped.post("/sessions", scope="sessions:write")(done)
grouped.get("/sessions", scope="sessions:read")(done)
grouped.post("/config", scope="config:write")(done)
grouped.get("/config", scope="config:read")(done)


def bucket(reply: Reply) -> tuple[int, int]:
    return int(reply.headers["X-RateLimit-Limit"]), int(reply.headers["X-RateLimit-Remaining"])


async def test_the_stated_number_passes_in_a_second_and_the_next_is_429(api: Api) -> None:
    replies = [await api.get("/api/v1/status") for _ in range(31)]
    assert [reply.status for reply in replies] == [200] * 30 + [429]
    assert [bucket(reply) for reply in replies] == [(30, 30 - n) for n in range(1, 31)] + [(30, 0)]
    refused = replies[-1]
    assert refused.error["code"] == "rate_limited"
    assert refused.headers["Retry-After"] == "1"
    api.now += 1.001
    assert (await api.get("/api/v1/status")).status == 200


async def test_requests_at_the_same_time_are_counted_one_by_one(api: Api) -> None:
    replies = await asyncio.gather(*(api.get("/api/v1/tools") for _ in range(50)))
    assert sorted(reply.status for reply in replies) == [200] * 30 + [429] * 20


async def test_the_reset_is_in_epoch_seconds_and_not_far_off(api: Api) -> None:
    before = time.time()
    reset = int((await api.get("/api/v1/status")).headers["X-RateLimit-Reset"])
    assert before + 1 <= reset <= time.time() + 2


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [("POST", "/sessions", 10), ("GET", "/sessions", 50), ("POST", "/config", 5), ("GET", "/config", 30)],
)
async def test_each_group_has_its_own_limit(api: Api, method: str, path: str, limit: int) -> None:
    app = build_app(deps_of(api))
    mount(app, app[EDGE], grouped)
    async with serving(api, app):
        replies = [await api.call(method, path) for _ in range(limit + 1)]
        assert [reply.status for reply in replies] == [200] * limit + [429]
        assert {bucket(reply)[0] for reply in replies} == {limit}


async def test_groups_and_tokens_do_not_share_a_bucket(api: Api) -> None:
    app = build_app(deps_of(api))
    mount(app, app[EDGE], grouped)
    other, _ = api.tokens.create("other")
    async with serving(api, app):
        for _ in range(31):
            exhausted = await api.get("/api/v1/status")
        assert exhausted.status == 429
        assert (await api.get("/sessions")).status == 200
        assert (await api.get("/api/v1/status", token=other)).status == 200


async def test_without_a_valid_token_the_address_is_limited_and_its_bucket_shown(api: Api) -> None:
    tokens = [None, "prx_guess-1", "prx_guess-2"] * 11
    replies = [await api.get("/api/v1/status", token=token) for token in tokens]
    assert [reply.status for reply in replies] == [401] * 30 + [429] * 3
    assert [bucket(reply)[1] for reply in replies] == [*range(29, -1, -1), 0, 0, 0]
    assert (await api.get("/api/v1/status")).status == 200, "a token has a bucket of its own"


async def test_what_is_not_there_and_what_is_not_http_count_against_the_address(api: Api) -> None:
    for path in ("/nope", "/api/v1/nope") * 15:
        assert (await api.get(path, token=None)).status == 404
    assert (await api.get("/nope", token=None)).status == 429
    [rubbish] = await api.raw(b"rubbish\r\n\r\n")
    assert (rubbish.status, rubbish.error["code"], bucket(rubbish)) == (429, "rate_limited", (30, 0))


async def test_health_is_never_limited_and_takes_nothing_from_a_bucket(api: Api) -> None:
    replies = [await api.get("/api/v1/status/health", token=None) for _ in range(40)]
    assert {reply.status for reply in replies} == {200}
    assert {bucket(reply) for reply in replies} == {(30, 30)}
    for _ in range(31):
        await api.get("/nope", token=None)
    reply = await api.get("/api/v1/status/health", token=None)
    assert (reply.status, bucket(reply)) == (200, (30, 0))


async def test_every_kind_of_refusal_shows_the_bucket(api: Api) -> None:
    narrow, _ = api.tokens.create("narrow", scopes=["tools:read"])
    refusals = [
        await api.get("/api/v1/nope"),
        await api.call("PUT", "/api/v1/status"),
        await api.get("/api/v1/status", token=None),
        await api.get("/api/v1/status", token=narrow),
        await api.get("/api/v1/status", headers={"Host": "evil.example"}),
        await api.post("/api/v1/tools/echo/call", data=b"{"),
        *await api.raw(b"GET /api/v1/status HTTP/1.1\r\nbroken\r\n\r\n"),
    ]
    assert [reply.status for reply in refusals] == [404, 405, 401, 403, 403, 415, 400]
    for reply in refusals:
        assert bucket(reply)[0] == 30
        assert int(reply.headers["X-RateLimit-Reset"])


async def test_a_changed_limit_holds_from_the_next_request_on(api: Api) -> None:
    api.configure(rate_limits={"other": 2})
    assert [(await api.get("/api/v1/status")).status for _ in range(3)] == [200, 200, 429]
    api.configure(rate_limits={"other": 3})
    assert [(await api.get("/api/v1/status")).status for _ in range(2)] == [200, 429]


async def test_zero_switches_a_limit_off_and_there_is_no_bucket_to_show(api: Api) -> None:
    api.configure(rate_limits={"other": 0})
    replies = [await api.get("/api/v1/status") for _ in range(40)]
    assert {reply.status for reply in replies} == {200}
    assert not [name for name in replies[-1].headers if name.startswith("X-RateLimit")]


async def test_a_forwarded_address_counts_only_where_a_proxy_is_trusted(api: Api) -> None:
    async def from_hop(forwarded: str) -> int:
        return (await api.get("/nope", token=None, headers={"X-Forwarded-For": forwarded})).status

    api.configure(rate_limits={"other": 1})
    assert [await from_hop("10.0.0.1"), await from_hop("10.0.0.2")] == [404, 429]
    api.now += 2
    api.configure(rate_limits={"other": 1}, trust_forwarded_headers=True)
    assert [await from_hop("10.0.0.1"), await from_hop("10.0.0.2")] == [404, 404]
    assert await from_hop("6.6.6.6, 10.0.0.1") == 429, "what stands left of the last hop is invented"
