"""Listing tools and calling them directly."""

import asyncio
import json

import pytest

from prx.core.errors import BadRequestError, ConflictError, ForbiddenError, UnavailableError
from prx.core.tool import ToolResult
from tests.integration.api.api_harness import Api, Echo, Scripted

CALL = "/api/v1/tools/echo/call"
JSON = {"Content-Type": "application/json"}


async def test_tools_are_listed_with_their_schema_and_source(api: Api) -> None:
    reply = await api.get("/api/v1/tools")
    assert reply.status == 200
    assert reply.json() == {
        "tools": [
            {
                "name": "echo",
                "description": "Give back a text",
                "parameters": Echo.spec.parameters,
                "source": "builtin",
            }
        ]
    }


async def test_a_call_answers_with_output_and_receipt(api: Api) -> None:
    reply = await api.post(CALL, json={"arguments": {"text": "grüße 🎲"}})
    assert reply.status == 200
    assert reply.json() == {
        "success": True,
        "output": "grüße 🎲",
        "error": None,
        "receipt": {
            "fuel_used": None,
            "wall_ms": 1.5,
            "guest_ms": 1.0,
            "peak_memory_bytes": 65536,
            "host_calls": 2,
            "http_requests": 0,
            "bytes_in": 3,
            "bytes_out": 4,
        },
    }


async def test_a_tool_that_ran_and_failed_is_200_with_its_error(api: Api) -> None:
    reply = await api.post(CALL, json={"arguments": {"text": "ran out", "fail": "out_of_fuel"}})
    assert reply.status == 200
    answer = reply.json()
    assert (answer["success"], answer["output"]) == (False, None)
    assert answer["error"] == {"code": "out_of_fuel", "message": "ran out"}
    assert answer["receipt"]["wall_ms"] == 1.5


async def test_the_request_id_travels_with_the_call(api: Api, echo: Echo) -> None:
    await api.post(CALL, json={"arguments": {"text": "x"}}, headers={"X-Request-Id": "trace-me"})
    assert echo.contexts[-1].request_id == "trace-me"


async def test_an_unknown_tool_is_404(api: Api) -> None:
    reply = await api.post("/api/v1/tools/nope/call", json={"arguments": {}})
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert '"nope"' in reply.error["message"]


async def test_arguments_that_do_not_fit_the_schema_are_400_field_by_field(api: Api) -> None:
    reply = await api.post(CALL, json={"arguments": {"text": 7, "more": 1}})
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    errors = reply.error["details"]["errors"]
    assert {error["field"] for error in errors} == {"arguments", "arguments.text"}
    assert all(set(error) == {"field", "message"} for error in errors)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadRequestError("not of the tool's own types"), 400, "bad_request"),
        (ForbiddenError("vetoed by the hook plugin guard"), 403, "forbidden"),
        (ConflictError("the plugin dice is quarantined"), 409, "conflict"),
        (UnavailableError("32 calls wait already", retry_after_secs=7), 503, "unavailable"),
    ],
)
async def test_a_call_that_did_not_run_says_why_by_its_status(
    api: Api, error: Exception, status: int, code: str
) -> None:
    async def refuse() -> ToolResult:
        raise error

    with api.router.offering([Scripted("refusing", refuse)]):
        reply = await api.post("/api/v1/tools/refusing/call", json={})
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.error["message"] == str(error)
    assert reply.headers.get("Retry-After") == ("7" if status == 503 else None)


async def test_a_tool_of_a_disabled_plugin_is_409_with_the_reason(api: Api) -> None:
    with api.router.withholding(["roll"], 'plugin "dice" is disabled'):
        reply = await api.post("/api/v1/tools/roll/call", json={})
    assert (reply.status, reply.error["message"]) == (409, 'plugin "dice" is disabled')


@pytest.mark.parametrize(
    "output",
    ["", "a\x00b\u2028", 0, -1.5, 2**53, True, None, [], {}, {"deep": [[{"a": None}]]}],
    ids=repr,
)
async def test_any_json_value_is_an_output(api: Api, output: object) -> None:
    async def give() -> ToolResult:
        return ToolResult(output=output)

    with api.router.offering([Scripted("giving", give)]):
        reply = await api.post("/api/v1/tools/giving/call", json={})
    assert reply.json() == {"success": True, "output": output, "error": None, "receipt": None}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_that_json_has_not_is_null(api: Api, number: float) -> None:
    async def give() -> ToolResult:
        return ToolResult(output={"value": number})

    with api.router.offering([Scripted("giving", give)]):
        reply = await api.post("/api/v1/tools/giving/call", json={})
    assert reply.json()["output"] == {"value": None}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"nope",
        b'{"arguments": {}} trailing',
        b'{"arguments": {"text": "x",}}',
        b"{'arguments': {}}",
        b'{"arguments": {"text": NaN}}',
        b'{"arguments": {"text": Infinity}}',
        b'{"arguments": {"text": -Infinity}}',
        b'{"arguments": {"text": 1e999}}',
        b'{"arguments": {"text": -1E+400}}',
        b'{"arguments": {"text": ' + b"9" * 400 + b".0}}",
        b'{"arguments": {"text": ' + b"9" * 5000 + b"}}",
        b'{"arguments": {"text": "\xff\xfe"}}',
        b'{"arguments": {"text": "\\ud800"}}',
        b'{"arguments": {"\\udfff": 1}}',
        b'{"arguments": {"text": "\x01"}}',
        b"\xef\xbb\xbf{}",
        '{"arguments": {}}'.encode("utf-16"),
        b'{"arguments": {"text": ' + b"[" * 300 + b"]" * 300 + b"}}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"{}" * 1000,
    ],
    ids=range(24),
)
async def test_a_body_that_is_not_json_is_400(api: Api, body: bytes) -> None:
    reply = await api.post(CALL, data=body, headers=JSON)
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert len(reply.error["message"]) < 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", "body"),
        (b"null", "body"),
        (b'"text"', "body"),
        (b"17", "body"),
        (b'{"arguments": []}', "arguments"),
        (b'{"arguments": null}', "arguments"),
        (b'{"arguments": "{}"}', "arguments"),
        (b'{"arguments": {}, "argumenst": {}}', "argumenst"),
    ],
)
async def test_a_body_of_the_wrong_shape_is_400_naming_the_field(api: Api, body: bytes, field: str) -> None:
    reply = await api.post(CALL, data=body, headers=JSON)
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    [error] = reply.error["details"]["errors"]
    assert error["field"] == field
    assert error["message"]


async def test_of_a_key_given_twice_the_last_counts(api: Api) -> None:
    body = b'{"arguments": {"text": 1}, "arguments": {"text": "first", "text": "last"}}'
    reply = await api.post(CALL, data=body, headers=JSON)
    assert reply.json()["output"] == "last"


async def test_a_number_near_the_edge_of_a_double_passes(api: Api) -> None:
    async def done() -> ToolResult:
        return ToolResult(output="called")

    with api.router.offering([Scripted("any", done)]):
        body = b'{"arguments": {"n": 1.7e308, "d": ' + b"9" * 250 + b"}}"
        reply = await api.post("/api/v1/tools/any/call", data=body, headers=JSON)
    assert reply.json()["output"] == "called"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "multipart/form-data",
    ],
)
async def test_anything_but_json_in_utf8_is_415(api: Api, content_type: str) -> None:
    reply = await api.post(CALL, data=b'{"arguments": {"text": "x"}}', headers={"Content-Type": content_type})
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
    assert "application/json" in reply.error["message"]


async def test_a_charset_of_utf8_is_fine(api: Api) -> None:
    body = json.dumps({"arguments": {"text": "x"}}).encode()
    reply = await api.post(CALL, data=body, headers={"Content-Type": "Application/JSON; charset=UTF-8"})
    assert reply.json()["output"] == "x"


async def test_calls_at_the_same_time_do_not_wait_for_each_other(api: Api) -> None:
    meeting = asyncio.Barrier(5)

    async def meet() -> ToolResult:
        await meeting.wait()
        return ToolResult(output="met")

    with api.router.offering([Scripted("meeting", meet)]):
        replies = await asyncio.gather(*(api.post("/api/v1/tools/meeting/call", json={}) for _ in range(5)))
    assert [reply.json()["output"] for reply in replies] == ["met"] * 5
