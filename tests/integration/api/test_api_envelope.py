"""Every failure that leaves the port has the envelope, and every answer the headers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

import pytest
from aiohttp import web

from prx.api.app import EDGE, build_app, mount
from prx.api.routes import Routes
from prx.core.errors import PermanentError, PrxError
from tests.integration.api.api_harness import Api, Scripted, deps_of, serving
from tests.support.waiting import PATIENCE_SECS

HOST = b"Host: 127.0.0.1\r\n"


def assert_dressed(headers: Mapping[str, str]) -> None:
    assert headers["X-Request-Id"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "prx"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/api/v1", 404, "not_found"),
        ("GET", "/api/v1/nope", 404, "not_found"),
        ("GET", "/api/v1/status/", 404, "not_found"),
        ("GET", "/api/v2/status", 404, "not_found"),
        ("GET", "/api/v1/plugins/none%2Fsuch", 404, "not_found"),
        ("GET", "/api/v1/plugins/%ff%00", 404, "not_found"),
        ("POST", "/api/v1/plugins/none/reload", 404, "not_found"),
        ("POST", "/api/v1/status", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/tools", 405, "method_not_allowed"),
        ("PROPFIND", "/api/v1/tools", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_has_the_envelope(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    reply = await api.call(method, path)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert_dressed(reply.headers)


async def test_a_wrong_method_is_told_the_right_ones(api: Api) -> None:
    reply = await api.call("PUT", "/api/v1/status")
    assert reply.headers["Allow"] == "GET, HEAD"
    assert "GET, HEAD" in reply.error["message"]


@pytest.mark.parametrize(
    "sent",
    [
        b"rubbish\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /api/v1/status HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET /api/v1/status HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /api/v1/status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /api/v1/status HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 70000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/v1/status HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 500 + b"\r\n",
        b"GET /api/v1/sta\x00tus HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /api/v1/status HTTP/1.1\r\n" + HOST + b"X-Evil: a\x00b\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /api/v1/tools/echo/call HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
        b"POST /api/v1/tools/echo/call HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /api/v1/a HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/tools/echo/call HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    ],
    ids=range(15),
)
async def test_bytes_that_are_not_http_get_the_envelope_and_no_echo(api: Api, sent: bytes) -> None:
    reply = (await api.raw(sent))[0]
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert "evil" not in reply.error["message"].lower()
    assert_dressed(reply.headers)


@pytest.mark.parametrize(
    "request_line",
    [
        b"CONNECT evil.example:443",
        b"OPTIONS *",
        b"GET http://evil.example/api/v1/status",
        b"GET //api/v1/status",
    ],
)
async def test_unusual_request_targets_are_answered_like_any_other(api: Api, request_line: bytes) -> None:
    [reply] = await api.raw(request_line + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert 400 <= reply.status < 500
    assert reply.error["code"]
    assert_dressed(reply.headers)


async def test_an_upgrade_that_nobody_offers_is_ignored(api: Api) -> None:
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    [reply] = await api.raw(b"GET /api/v1/status/health HTTP/1.1\r\n" + HOST + upgrade)
    assert (reply.status, reply.json()) == (200, {"healthy": True})


async def test_an_expectation_that_nobody_knows_has_the_envelope(api: Api) -> None:
    for path in (b"/api/v1/status", b"/nope"):
        sent = b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"Expect: a-miracle\r\nConnection: close\r\n\r\n"
        [reply] = await api.raw(sent)
        assert (reply.status, reply.error["code"]) == (400, "bad_request")
        assert_dressed(reply.headers)


async def test_a_broken_request_leaves_the_daemon_serving(api: Api) -> None:
    await api.raw(b"rubbish\r\n\r\n")
    assert (await api.get("/api/v1/status")).status == 200


async def test_good_answers_have_the_headers_too(api: Api) -> None:
    for path in ("/api/v1/status", "/api/v1/status/health", "/api/v1/tools"):
        reply = await api.get(path)
        assert_dressed(reply.headers)
        assert reply.headers["Content-Type"].startswith("application/json")


async def test_head_answers_as_get_does_but_without_a_body(api: Api) -> None:
    reply = await api.call("HEAD", "/api/v1/status/health")
    assert (reply.status, reply.body) == (200, b"")
    assert_dressed(reply.headers)


@pytest.mark.parametrize("given", ["abc-123", "7f3a:b.c_d", "Root=1-67/a+b", "x" * 128])
async def test_a_sane_request_id_comes_back(api: Api, given: str) -> None:
    reply = await api.get("/api/v1/status", headers={"X-Request-Id": given})
    assert reply.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\tb", "é", "<script>"])
async def test_any_other_request_id_is_replaced(api: Api, given: str) -> None:
    reply = await api.get("/api/v1/status", headers={"X-Request-Id": given})
    assert reply.headers["X-Request-Id"].startswith("req_")


async def fail_badly() -> object:
    raise ZeroDivisionError("secret detail")


async def fail_oddly() -> object:
    raise PermanentError("the tool's disk is full; free some space")


async def fail_slowly() -> object:
    raise TimeoutError("a timeout of the tool's own")


@pytest.mark.parametrize("act", [fail_badly, fail_slowly])
async def test_a_fault_is_500_with_the_request_id_that_the_log_has_too(
    api: Api, capsys: pytest.CaptureFixture[str], act: Callable[[], Awaitable[object]]
) -> None:
    with api.router.offering([Scripted("broken", act)]):
        reply = await api.post("/api/v1/tools/broken/call", json={}, headers={"X-Request-Id": "find-me"})
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert reply.error["details"] == {"request_id": "find-me"}
    assert "find-me" in reply.error["message"]
    assert "secret detail" not in reply.body.decode()
    assert "Traceback" not in reply.body.decode()
    logged = capsys.readouterr().err
    assert "find-me" in logged
    assert act.__name__ in logged


async def test_an_error_without_a_status_of_its_own_is_an_internal_error_with_its_words(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    with api.router.offering([Scripted("broken", fail_oddly)]):
        reply = await api.post("/api/v1/tools/broken/call", json={})
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert reply.error["message"].startswith("the tool's disk is full; free some space. ")
    assert reply.error["details"] == {"request_id": reply.headers["X-Request-Id"]}
    assert "disk is full" in capsys.readouterr().err


async def test_a_request_that_takes_too_long_is_given_up(api: Api) -> None:
    ended = asyncio.Event()

    async def hang() -> object:
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    api.configure(request_timeout_secs=1)
    with api.router.offering([Scripted("hanging", hang)]):
        reply = await api.post("/api/v1/tools/hanging/call", json={})
    assert (reply.status, reply.error["code"]) == (503, "unavailable")
    assert "request_timeout_secs" in reply.error["message"]
    assert ended.is_set()


async def test_a_client_that_goes_away_cancels_its_request(api: Api) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> object:
        begun.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    with api.router.offering([Scripted("hanging", hang)]):
        call = asyncio.create_task(api.post("/api/v1/tools/hanging/call", json={}))
        await begun.wait()
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        await asyncio.wait_for(ended.wait(), PATIENCE_SECS)
    assert (await api.get("/api/v1/status")).status == 200


streaming = Routes()


@streaming.get("/stream", scope="status:read")
async def stream_then_fail(request: web.Request) -> web.StreamResponse:
    """Begin an answer, and fail in the middle of it."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half of ")
    raise PrxError("the rest is lost")


async def test_a_stream_has_the_headers_and_a_failure_in_it_closes_the_connection(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    app = build_app(deps_of(api))
    mount(app, app[EDGE], streaming)
    async with serving(api, app):
        sent = f"GET /stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.token}\r\n\r\n"
        received = await api.raw_bytes(sent.encode())
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nCache-Control: no-store\r\n" in received
    assert received.endswith(b"half of \r\n"), "neither an envelope nor the end of the chunks follows"
    assert capsys.readouterr().err.count("the rest is lost") == 2, (
        "logged once: its words, once in the traceback"
    )


def test_a_route_without_a_declared_scope_does_not_start(api: Api) -> None:
    app = build_app(deps_of(api))
    app.router.add_get("/open", stream_then_fail)
    with pytest.raises(ValueError, match=r"/open.*declares no scope"):
        app[EDGE].check_covers(app)


BODY_TOO_LARGE = json.dumps({"arguments": {"text": "x" * 3000}})


async def test_a_body_beyond_the_limit_is_413(api: Api) -> None:
    api.configure(max_body_kb=2)
    async with serving(api, build_app(deps_of(api))):
        for body in (BODY_TOO_LARGE.encode(), chunks(BODY_TOO_LARGE.encode())):
            reply = await api.post(
                "/api/v1/tools/echo/call", data=body, headers={"Content-Type": "application/json"}
            )
            assert (reply.status, reply.error["code"]) == (413, "payload_too_large")
            assert "max_body_kb" in reply.error["message"]


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100):
        yield body[start : start + 100]
