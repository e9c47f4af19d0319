"""Sessions over the API, kept in a real store."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from prx.api.app import build_app
from prx.api.tokens import TokenStore
from prx.config.schema import PluginsConfig
from prx.plugins.catalogue import Catalogue
from prx.plugins.host.interfaces import HostServices
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logs.book import LogBook
from prx.runtime.memory import Memory
from tests.integration.api.api_harness import Api, deps_of, live_config, serving
from tests.support.sessions import Life, living

SESSIONS = "/api/v1/sessions"
NOBODY = {"channel": "api", "user_id": "user_123"}


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with living(tmp_path / "sessions.db") as life:
        life.now = life.now.replace(microsecond=0)
        yield life


@pytest.fixture
async def api(tmp_path: Path, life: Life, book: LogBook) -> AsyncIterator[Api]:
    points = ExtensionPoints.on(life.bus)
    services = HostServices(life.store, Memory(life.store), life.bus)
    harness = Api(
        TokenStore(tmp_path),
        Catalogue(PluginsConfig, tmp_path, points, services),
        points.tools,
        book,
        life.bus,
        live_config(tmp_path),
        sessions=life.sessions,
    )
    harness.token, _ = harness.tokens.create("admin")
    harness.configure(rate_limits={"sessions_write": 0, "sessions_read": 0})
    async with serving(harness, build_app(deps_of(harness))):
        yield harness


async def begun(api: Api, **more: Any) -> str:
    reply = await api.post(SESSIONS, json=NOBODY | more)
    assert reply.status == 201
    return str(reply.json()["id"])


async def listed(api: Api, query: str = "") -> tuple[list[str], int]:
    page = (await api.get(f"{SESSIONS}{query}")).json()
    return [session["id"] for session in page["sessions"]], page["total"]


async def test_each_answer_has_just_the_fields_of_the_reference_in_their_order(api: Api) -> None:
    reply = await api.post(SESSIONS, json=NOBODY | {"metadata": {"source": "web-app"}})
    assert (reply.status, reply.headers["Content-Type"]) == (201, "application/json")
    created = reply.json()
    session_id = created["id"]
    assert list(created.items()) == [
        ("id", session_id),
        ("channel", "api"),
        ("user_id", "user_123"),
        ("status", "active"),
        ("created_at", "2026-03-21T10:00:00.000Z"),
        ("metadata", {"source": "web-app"}),
    ]
    page = (await api.get(SESSIONS)).json()
    assert list(page) == ["sessions", "total"]
    assert page["total"] == 1
    [row] = page["sessions"]
    assert list(row.items()) == [
        ("id", session_id),
        ("channel", "api"),
        ("user_id", "user_123"),
        ("status", "active"),
        ("created_at", "2026-03-21T10:00:00.000Z"),
        ("last_activity", "2026-03-21T10:00:00.000Z"),
    ]
    detail = (await api.get(f"{SESSIONS}/{session_id}")).json()
    assert list(detail.items()) == [
        *row.items(),
        ("turn_count", 0),
        ("token_usage", {"input": 0, "output": 0}),
        ("metadata", {"source": "web-app"}),
    ]
    assert list(detail["token_usage"]) == ["input", "output"]


async def test_metadata_is_an_empty_object_where_none_was_given(api: Api) -> None:
    created = (await api.post(SESSIONS, json=NOBODY)).json()
    assert created["metadata"] == {}
    assert (await api.get(f"{SESSIONS}/{created['id']}")).json()["metadata"] == {}


async def test_metadata_comes_back_as_it_was_sent(api: Api) -> None:
    metadata = {
        "z": None, "a": [1, 2.5, -0.0, 10**30, "ünï \u0000\U0001f600"], "deep": {"er": {"": True}},
    }  # fmt: skip
    session_id = await begun(api, metadata=metadata)
    reply = await api.get(f"{SESSIONS}/{session_id}")
    assert list(reply.json()["metadata"].items()) == list(metadata.items())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user_id": "u"}, "channel"),
        ({"channel": "api"}, "user_id"),
        ({"channel": "", "user_id": "u"}, "channel"),
        ({"channel": "api", "user_id": ""}, "user_id"),
        ({"channel": "api", "user_id": 7}, "user_id"),
        ({"channel": None, "user_id": "u"}, "channel"),
        ({"channel": "c" * 129, "user_id": "u"}, "channel"),
        ({"channel": "api", "user_id": "u" * 257}, "user_id"),
        (NOBODY | {"metadata": None}, "metadata"),
        (NOBODY | {"metadata": []}, "metadata"),
        (NOBODY | {"metadata": "{}"}, "metadata"),
        (NOBODY | {"status": "idle"}, "status"),
        ([], "body"),
    ],
)
async def test_what_is_no_session_is_refused_by_the_name_of_the_field(
    api: Api, body: Any, field: str
) -> None:
    reply = await api.post(SESSIONS, json=body)
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert [fault["field"] for fault in reply.error["details"]["errors"]] == [field]
    assert await listed(api) == ([], 0)


async def test_what_is_no_object_is_refused_in_the_words_of_json(api: Api) -> None:
    for body, field in (([], "body"), (7, "body"), (NOBODY | {"metadata": []}, "metadata")):
        reply = await api.post(SESSIONS, json=body)
        assert reply.error["details"]["errors"] == [{"field": field, "message": "Input should be an object"}]


async def test_metadata_may_have_16_kib_as_json_and_no_byte_more(api: Api) -> None:
    around = len(json.dumps({"text": ""}, separators=(",", ":")))
    await begun(api, metadata={"text": "ü" * ((16384 - around) // 2)})
    reply = await api.post(SESSIONS, json=NOBODY | {"metadata": {"text": "x" * (16385 - around)}})
    assert reply.status == 400
    [fault] = reply.error["details"]["errors"]
    assert fault == {"field": "metadata", "message": "has at most 16384 bytes as JSON, this one has 16385"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"channel": "\\ud800", "user_id": "u"}',
        b'{"channel": "api", "user_id": "u", "metadata": {"a": NaN}}',
        b'{"channel": "api", "user_id": "u", "metadata": {"a": 1e999}}',
        b'{"channel": "api", "user_id": "u", "metadata": {"a": ' + b"9" * 5000 + b"}}",
        b'{"channel": "api", "user_id": "u", "metadata": ' + b'{"a":' * 300 + b"1" + b"}" * 301,
        b"{",
    ],
)
async def test_json_that_could_not_be_given_back_is_refused(api: Api, body: bytes) -> None:
    reply = await api.post(SESSIONS, data=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.error["code"]) == (400, "bad_request")


async def test_the_newest_sessions_come_first_and_pages_are_parts_of_one_list(api: Api) -> None:
    ids = [await begun(api) for _ in range(5)][::-1]
    assert await listed(api) == (ids, 5)
    assert await listed(api, "?limit=2") == (ids[:2], 5)
    assert await listed(api, "?limit=2&offset=3") == (ids[3:], 5)
    assert await listed(api, "?offset=5") == ([], 5)


async def test_by_default_50_are_listed_and_at_most_500(api: Api) -> None:
    ids = [await begun(api) for _ in range(51)][::-1]
    assert await listed(api) == (ids[:50], 51)
    assert await listed(api, "?limit=500") == (ids, 51)


async def test_lists_are_filtered_by_status_and_channel(api: Api, life: Life) -> None:
    over = await begun(api, channel="telegram")
    life.passes(2700)
    idle = await begun(api)
    life.passes(900)
    active, elsewhere = await begun(api), await begun(api, channel="telegram")
    assert await listed(api) == ([elsewhere, active], 2)
    assert await listed(api, "?status=active&channel=telegram") == ([elsewhere], 1)
    assert await listed(api, "?status=idle") == ([idle], 1)
    assert await listed(api, "?status=idle&channel=telegram") == ([], 0)
    assert await listed(api, "?status=terminated") == ([over], 1)
    assert (await api.get(f"{SESSIONS}/{idle}")).json()["status"] == "idle"
    assert (await api.get("/api/v1/status")).json()["active_sessions"] == 2


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=501", "limit=-1", "limit=1.0", "limit=", "limit=x", "limit=1e2", "limit=99999999999999999999",
        "offset=-1", "offset=x", "offset=", "status=", "status=Active", "status=all", "channel=",
        "channel=" + "c" * 129,
    ],
)  # fmt: skip
async def test_any_other_parameter_is_refused_by_its_name(api: Api, query: str) -> None:
    reply = await api.get(f"{SESSIONS}?{query}")
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    name = query.partition("=")[0]
    assert name in reply.error["message"]
    assert [fault["field"] for fault in reply.error["details"]["errors"]] == [name]


async def test_a_session_is_ended_once(api: Api, life: Life) -> None:
    session_id = await begun(api)
    reply = await api.call("DELETE", f"{SESSIONS}/{session_id}")
    assert (reply.status, reply.body) == (204, b"")
    assert (await api.get(f"{SESSIONS}/{session_id}")).json()["status"] == "terminated"
    again = await api.call("DELETE", f"{SESSIONS}/{session_id}")
    assert (again.status, again.error) == (
        409,
        {"code": "conflict", "message": f"Session {session_id} is terminated already", "details": None},
    )
    assert [topic for topic, _ in life.events()] == ["prx.session.created", "prx.session.terminated"]


async def test_one_whose_time_is_over_cannot_be_ended_any_more(api: Api, life: Life) -> None:
    session_id = await begun(api)
    life.passes(3600)
    assert (await api.call("DELETE", f"{SESSIONS}/{session_id}")).status == 409


@pytest.mark.parametrize("session_id", ["sess_xyz", "%00", "x'%20OR%201=1--", "%F0%9F%98%80"])
async def test_an_unknown_session_is_404(api: Api, session_id: str) -> None:
    await begun(api)
    for method in ("GET", "DELETE"):
        reply = await api.call(method, f"{SESSIONS}/{session_id}")
        assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert (await api.get(f"{SESSIONS}/sess_xyz")).error["message"] == "Session sess_xyz not found"


@pytest.mark.parametrize("target", [b"/sess_\xff", b"?channel=\xff", b"?channel=%FF"])
async def test_bytes_that_are_no_text_find_nothing(api: Api, target: bytes) -> None:
    token = api.token.encode()
    [reply] = await api.raw(
        b"GET /api/v1/sessions" + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Authorization: Bearer " + token + b"\r\n\r\n"
    )
    assert reply.status in (200, 400, 404)


async def test_where_too_many_are_open_it_is_503_with_what_to_do(api: Api, life: Life) -> None:
    life.configure(max_open_sessions=1)
    await begun(api)
    reply = await api.post(SESSIONS, json=NOBODY)
    assert (reply.status, reply.error["code"], reply.headers["Retry-After"]) == (503, "unavailable", "60")
    assert reply.error["message"] == (
        "No session can begin: 1 are open, which is all that may be; end some (prx session end), "
        "or raise agent.max_open_sessions"
    )


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "", "sessions:read"),
        ("GET", "/sess_xyz", "sessions:read"),
        ("POST", "", "sessions:write"),
        ("DELETE", "/sess_xyz", "sessions:write"),
    ],
)
async def test_each_route_asks_for_its_scope(api: Api, method: str, path: str, scope: str) -> None:
    role = "viewer" if scope == "sessions:write" else "admin"
    token, _ = api.tokens.create(
        "narrow", role=role, scopes=["sessions:read" if role == "viewer" else "sessions:write"]
    )
    reply = await api.call(method, f"{SESSIONS}{path}", token=token)
    assert (reply.status, reply.error["details"]) == (403, {"scope": scope})


async def test_reading_and_writing_have_limits_of_their_own(api: Api) -> None:
    api.configure()
    replies = [await api.post(SESSIONS, json=NOBODY) for _ in range(11)]
    assert [reply.status for reply in replies] == [201] * 10 + [429]
    replies = [await api.get(SESSIONS) for _ in range(51)]
    assert [reply.status for reply in replies] == [200] * 50 + [429]
