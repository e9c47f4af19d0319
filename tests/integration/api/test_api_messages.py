"""Messages over the API: the answer at once or as a stream, and the transcript."""

import asyncio
import json
from typing import Any

import pytest

from prx.core.provider import ChatAnswer, ProviderError
from tests.integration.api.api_harness import Api
from tests.support.agents import Bench, Model, calling, saying
from tests.support.conformance import DOCUMENTED
from tests.support.waiting import eventually

SESSIONS = "/api/v1/sessions"


async def say(api: Api, session: str, content: str = "hello", **more: Any) -> Any:
    return await api.post(f"{SESSIONS}/{session}/messages", json={"content": content}, **more)


async def streamed(api: Api, session: str, content: str = "hello", **headers: str) -> list[tuple[str, Any]]:
    """Return the events of a turn, comments left out."""
    reply = await say(api, session, content, headers={"Accept": "text/event-stream", **headers})
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/event-stream")
    events = []
    for block in reply.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
        if fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


async def test_the_answer_has_its_tool_calls_and_usage(api: Api, session: str, model: Model) -> None:
    model.script = [calling(("echo", '{"text": "x"}'), ("echo", '{"text": 1}')), saying("done")]
    reply = await say(api, session)
    answer = reply.json()
    assert reply.status == 200
    unfit = 'Tool "echo": arguments.text: the value is not of type "string"'
    assert answer == {
        "id": answer["id"],
        "session_id": session,
        "role": "assistant",
        "content": "done",
        "created_at": answer["created_at"],
        "reply_to": answer["reply_to"],
        "tool_calls": [
            {"id": "call-1", "name": "echo", "arguments": {"text": "x"}, "success": True, "output": "x", "error": None},
            {
                "id": "call-2", "name": "echo", "arguments": {"text": 1}, "success": False, "output": None,
                "error": {"code": "bad_request", "message": unfit},
            },
        ],
        "usage": {"input": 8, "output": 3},
        "cost_usd": None,
        "provider": "script",
        "model": "m1",
        "finish_reason": "stop",
        "error": None,
    }  # fmt: skip
    assert answer["id"].startswith("msg_")
    detail = (await api.get(f"{SESSIONS}/{session}")).json()
    assert (detail["turn_count"], detail["token_usage"]) == (1, {"input": 8, "output": 3})
    page = (await api.get(f"{SESSIONS}/{session}/messages")).json()
    assert page["total"] == 2
    said, stored = page["messages"]
    assert stored == answer
    assert said == {
        "id": answer["reply_to"], "session_id": session, "role": "user", "content": "hello",
        "created_at": said["created_at"],
    }  # fmt: skip


async def test_the_transcript_is_paged_the_oldest_first(api: Api, session: str) -> None:
    for number in range(3):
        await say(api, session, f"message {number}")
    page = (await api.get(f"{SESSIONS}/{session}/messages?limit=2&offset=1")).json()
    assert ([each["content"] for each in page["messages"]], page["total"]) == (["answer 1", "message 1"], 6)
    refused = await api.get(f"{SESSIONS}/{session}/messages?limit=501")
    assert (refused.status, refused.error["details"]["errors"][0]["field"]) == (400, "limit")
    assert (await api.get(f"{SESSIONS}/sess_none/messages")).status == 404


async def test_a_turn_is_followed_as_a_stream(api: Api, session: str, model: Model) -> None:
    model.script = [calling(("echo", '{"text": "x"}')), ["do", "ne", ChatAnswer("done")]]
    events = await streamed(api, session)
    assert [name for name, _ in events[:2]] == ["tool_call", "tool_result"]
    assert events[0][1] == {"id": "call-1", "name": "echo", "arguments": {"text": "x"}}
    assert events[1][1] == {"id": "call-1", "name": "echo", "success": True, "output": "x", "error": None}
    assert "".join(data["text"] for name, data in events if name == "token") == "done"
    name, answer = events[-1]
    assert name == "done"
    assert answer == (await api.get(f"{SESSIONS}/{session}/messages?offset=1")).json()["messages"][0]


async def test_a_turn_that_fails_ends_its_stream_with_the_error(api: Api, session: str, model: Model) -> None:
    model.script = [["well", ProviderError("asleep")]]
    name, data = (await streamed(api, session))[-1]
    assert (name, data["error"]) == ("error", {"code": "provider_error", "message": "asleep"})
    assert data["message"]["content"] == "well"
    model.script = [[ProviderError("asleep")]]
    reply = await say(api, session)
    assert (reply.status, reply.json()["error"]["code"]) == (200, "provider_error")


async def test_what_is_streamed_is_documented(api: Api, session: str, model: Model) -> None:
    reply = await say(api, session, headers={"Accept": "text/event-stream"})
    DOCUMENTED.check("POST", f"{SESSIONS}/{session}/messages", reply.status, reply.headers, None)
    assert model.asked


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "content"),
        ({"content": " \n"}, "content"),
        ({"content": 1}, "content"),
        ({"content": "x" * (256 * 1024 + 1)}, "content"),
        ({"content": "x", "role": "system"}, "role"),
    ],
)
async def test_a_message_is_a_text(api: Api, session: str, body: Any, field: str) -> None:
    reply = await api.post(f"{SESSIONS}/{session}/messages", json=body)
    assert (reply.status, reply.error["details"]["errors"][0]["field"]) == (400, field)


async def test_a_message_needs_an_open_session(api: Api, session: str) -> None:
    assert (await say(api, "sess_none")).status == 404
    await api.call("DELETE", f"{SESSIONS}/{session}")
    assert (await say(api, session)).status == 409
    streaming = {"Accept": "text/event-stream"}
    assert (await say(api, session, headers=streaming)).error["code"] == "conflict"


async def test_an_idempotency_key_makes_it_safe_to_send_again(api: Api, session: str, model: Model) -> None:
    key = {"Idempotency-Key": "a1"}
    first = await say(api, session, headers=key)
    again = await say(api, session, headers=key)
    assert again.json() == first.json()
    assert await streamed(api, session, **key) == [("done", first.json())]
    assert len(model.asked) == 1
    assert (await say(api, session, "other", headers=key)).status == 409
    for unfit in ("", "x" * 256, "with blank"):
        assert (await say(api, session, headers={"Idempotency-Key": unfit})).status == 400


async def test_more_messages_than_may_wait_are_refused_for_now(api: Api, session: str, model: Model) -> None:
    go_on = asyncio.Event()
    model.script = [[go_on, *saying("first")]]
    first = asyncio.ensure_future(say(api, session))
    await eventually(lambda: model.asked)
    waiting = [asyncio.ensure_future(say(api, session)) for _ in range(17)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    [refused] = [task.result() for task in done]
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    go_on.set()
    assert sorted([(await task).status for task in (first, *waiting)]) == [200] * 17 + [503]


async def test_a_reader_that_leaves_does_not_end_the_turn(
    api: Api, bench: Bench, session: str, model: Model
) -> None:
    go_on = asyncio.Event()
    model.script = [["st", go_on, "ill", ChatAnswer("still")]]
    assert api.session is not None
    url = f"http://127.0.0.1:{api.port}{SESSIONS}/{session}/messages"
    headers = {"Authorization": f"Bearer {api.token}", "Accept": "text/event-stream"}
    async with api.session.post(url, json={"content": "hi"}, headers=headers) as response:
        await response.content.readuntil(b'{"text":"st"}\n\n')
    go_on.set()
    await eventually(lambda: not bench.agent._running)
    page = (await api.get(f"{SESSIONS}/{session}/messages")).json()
    assert [each["content"] for each in page["messages"]] == ["hi", "still"]


async def test_a_turn_is_told_to_its_end_while_the_daemon_drains(
    api: Api, session: str, model: Model
) -> None:
    go_on = asyncio.Event()
    model.script = [["st", go_on, "ill", ChatAnswer("still")]]
    following = asyncio.ensure_future(streamed(api, session))
    await eventually(lambda: model.asked)
    assert api.runner is not None
    draining = asyncio.ensure_future(api.runner.drain(20))
    go_on.set()
    assert (await following)[-1][0] == "done"
    await draining
