"""Talking in a session over a WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from prx.api.deps import SOCKETS
from prx.core.provider import ChatAnswer, ProviderError
from tests.integration.api.api_harness import Api
from tests.support.agents import Bench, Model, calling, saying
from tests.support.waiting import PATIENCE_SECS, eventually

SESSIONS = "/api/v1/sessions"


@asynccontextmanager
async def talking(
    api: Api, session: str, *, headers: dict[str, str] | None = None, **more: Any
) -> AsyncIterator[ClientWebSocketResponse]:
    """Open a socket for the length of the block."""
    assert api.session is not None
    url = f"http://127.0.0.1:{api.port}/ws/sessions/{session}"
    sent = {"Authorization": f"Bearer {api.token}"} if headers is None else headers
    async with api.session.ws_connect(url, headers=sent, **more) as socket:
        yield socket


async def heard(socket: ClientWebSocketResponse, last: str) -> list[dict[str, Any]]:
    """Return what is told up to the event `last`."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != last:
        found.append(await socket.receive_json(timeout=PATIENCE_SECS))
    return found


async def test_a_turn_is_told_as_it_happens(api: Api, session: str, model: Model) -> None:
    model.script = [calling(("echo", '{"text": "x"}')), ["do", "ne", ChatAnswer("done")]]
    async with talking(api, session) as socket:
        await socket.send_json({"type": "message", "content": "hello", "ref": "r1"})
        events = await heard(socket, "done")
    page = (await api.get(f"{SESSIONS}/{session}/messages")).json()["messages"]
    about = {"message_id": page[0]["id"], "ref": "r1"}
    assert events[0] == {
        "type": "tool_call",
        **about,
        "id": "call-1",
        "name": "echo",
        "arguments": {"text": "x"},
    }
    assert events[1] == {
        "type": "tool_result", **about, "id": "call-1", "name": "echo", "success": True, "output": "x", "error": None,
    }  # fmt: skip
    assert "".join(event["text"] for event in events if event["type"] == "token") == "done"
    assert events[-1] == {"type": "done", **about, "message": page[1]}


async def test_several_messages_are_answered_in_their_order(api: Api, session: str) -> None:
    async with talking(api, session) as socket:
        for number in range(3):
            await socket.send_json({"type": "message", "content": f"{number}"})
        answers = [(await heard(socket, "done"))[-1]["message"]["content"] for _ in range(3)]
    assert answers == ["answer 1", "answer 2", "answer 3"]


async def test_a_failure_is_an_error_with_the_message_that_is_kept(
    api: Api, session: str, model: Model
) -> None:
    model.script = [[ProviderError("asleep")]]
    async with talking(api, session) as socket:
        await socket.send_json({"type": "message", "content": "hello"})
        [event] = await heard(socket, "error")
    assert event["error"] == {"code": "provider_error", "message": "asleep"}
    assert event["message"]["reply_to"] == event["message_id"]


async def test_cancel_ends_the_turn(api: Api, session: str, model: Model) -> None:
    model.script = [["well", asyncio.Event()]]
    async with talking(api, session) as socket:
        await socket.send_json({"type": "message", "content": "hello"})
        await heard(socket, "token")
        await socket.send_json({"type": "cancel"})
        event = (await heard(socket, "error"))[-1]
    assert (event["error"]["code"], event["message"]["content"]) == ("cancelled", "well")
    assert model.closed == 1


async def test_a_key_makes_it_safe_to_send_again(api: Api, session: str, model: Model) -> None:
    said = {"type": "message", "content": "hello", "key": "k"}
    async with talking(api, session) as socket:
        await socket.send_json(said)
        first = (await heard(socket, "done"))[-1]
    async with talking(api, session) as socket:
        await socket.send_json(said)
        assert await heard(socket, "done") == [first]
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    "frame",
    ["no JSON", "[]", "{}", '{"type": "shout"}', '{"type": "message"}', '{"type": "message", "content": " "}',
     '{"type": "message", "content": "x", "key": "a b"}', '{"type": "ping", "more": 1}'],
)  # fmt: skip
async def test_what_is_no_frame_is_refused_and_ends_nothing(api: Api, session: str, frame: str) -> None:
    async with talking(api, session) as socket:
        await socket.send_str(frame)
        [event] = await heard(socket, "error")
        assert (event["error"]["code"], event["message"]) == ("bad_request", None)
        await socket.send_bytes(b"binary")
        assert (await heard(socket, "error"))[0]["error"]["code"] == "bad_request"
        await socket.send_json({"type": "ping"})
        assert await heard(socket, "pong") == [{"type": "pong"}]


async def test_a_frame_that_is_too_long_closes_the_socket(api: Api, session: str) -> None:
    async with talking(api, session) as socket:
        await socket.send_str("x" * (1 << 20 | 1))
        assert (await socket.receive(timeout=PATIENCE_SECS)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
        assert socket.close_code == 1009


async def test_a_refusal_of_a_message_is_told(api: Api, session: str) -> None:
    async with talking(api, session) as socket:
        await api.call("DELETE", f"{SESSIONS}/{session}")
        await socket.send_json({"type": "message", "content": "hello", "ref": "r1"})
        [event] = await heard(socket, "error")
        assert (event["error"]["code"], event["ref"]) == ("conflict", "r1")
        await socket.send_json({"type": "message", "content": " ", "ref": "r2"})
        [event] = await heard(socket, "error")
        assert (event["error"]["code"], event["ref"]) == ("bad_request", "r2")


async def test_a_browser_passes_its_token_as_a_protocol(api: Api, session: str) -> None:
    bearer = f"bearer.{api.token}"
    async with talking(api, session, headers={}, protocols=["prx", bearer]) as socket:
        assert socket.protocol == "prx"
    async with talking(api, session, headers={}, protocols=[bearer]) as socket:
        assert socket.protocol == bearer
        await socket.send_json({"type": "ping"})
        await heard(socket, "pong")


@pytest.mark.parametrize(
    ("headers", "protocols", "status"),
    [
        ({}, [], 401),
        ({}, ["bearer.prx_wrong"], 401),
        ({"Host": "evil.example"}, None, 403),
        ({"Origin": "https://evil.example"}, None, 403),
    ],
)
async def test_the_edge_guards_sockets_too(
    api: Api, session: str, headers: dict[str, str], protocols: list[str] | None, status: int
) -> None:
    if protocols is None:
        protocols = [f"bearer.{api.token}"]
    with pytest.raises(WSServerHandshakeError) as refused:
        async with talking(api, session, headers=headers, protocols=protocols):
            pass
    assert refused.value.status == status


async def test_a_socket_needs_the_scope_and_a_session(api: Api, session: str) -> None:
    reader, _ = api.tokens.create("reader", role="viewer")
    for token, where, status in ((reader, session, 403), (api.token, "sess_none", 404)):
        with pytest.raises(WSServerHandshakeError) as refused:
            async with talking(api, where, headers={"Authorization": f"Bearer {token}"}):
                pass
        assert refused.value.status == status
    plain = await api.get(f"/ws/sessions/{session}")
    assert (plain.status, plain.error["code"]) == (400, "bad_request")


async def test_a_protocol_is_no_token_for_other_routes(api: Api, session: str) -> None:
    protocol = {"Sec-WebSocket-Protocol": f"bearer.{api.token}"}
    assert (await api.get(f"{SESSIONS}/{session}", token=None, headers=protocol)).status == 401


async def test_a_socket_is_closed_once_its_token_is_revoked(api: Api, session: str) -> None:
    secret, token = api.tokens.create("guest")
    async with talking(api, session, headers={"Authorization": f"Bearer {secret}"}) as socket:
        api.tokens.revoke(token.id)
        await socket.send_json({"type": "message", "content": "hello"})
        assert (await socket.receive(timeout=PATIENCE_SECS)).type is WSMsgType.CLOSE
        assert socket.close_code == 1008
    secret, token = api.tokens.create("guest")
    assert api.app is not None
    api.app[SOCKETS]._beat_secs = 0.05
    async with talking(api, session, headers={"Authorization": f"Bearer {secret}"}) as socket:
        api.tokens.revoke(token.id)
        assert (await socket.receive(timeout=PATIENCE_SECS)).type is WSMsgType.CLOSE
        assert socket.close_code == 1008


async def test_a_turn_outlives_its_socket(api: Api, bench: Bench, session: str, model: Model) -> None:
    go_on = asyncio.Event()
    model.script = [["st", go_on, "ill", ChatAnswer("still")]]
    async with talking(api, session) as socket:
        await socket.send_json({"type": "message", "content": "hi"})
        await heard(socket, "token")
    assert api.app is not None
    await eventually(lambda: not len(api.app[SOCKETS]))
    go_on.set()
    await eventually(lambda: not bench.agent._running)
    page = (await api.get(f"{SESSIONS}/{session}/messages")).json()
    assert [each["content"] for each in page["messages"]] == ["hi", "still"]


async def test_a_drain_closes_a_socket_once_its_turns_are_told(api: Api, session: str, model: Model) -> None:
    go_on = asyncio.Event()
    model.script = [["st", go_on, "ill", ChatAnswer("still")]]
    assert api.runner is not None
    async with talking(api, session) as idle, talking(api, session) as busy:
        await busy.send_json({"type": "message", "content": "hi"})
        await heard(busy, "token")
        draining = asyncio.ensure_future(api.runner.drain(20))
        assert (await idle.receive(timeout=PATIENCE_SECS)).type is WSMsgType.CLOSE
        assert idle.close_code == 1001
        go_on.set()
        assert (await heard(busy, "done"))[-1]["message"]["content"] == "still"
        assert (await busy.receive(timeout=PATIENCE_SECS)).type is WSMsgType.CLOSE
        await draining


async def test_only_so_many_sockets_may_be_open(
    api: Api, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bound is what is tested; hundreds of sockets would show no more.
    monkeypatch.setattr("prx.api.sockets._MAX_SOCKETS", 1)
    async with talking(api, session):
        with pytest.raises(WSServerHandshakeError) as refused:
            async with talking(api, session):
                pass
    assert refused.value.status == 503


async def test_an_approval_is_asked_for_and_given(api: Api, bench: Bench, session: str, model: Model) -> None:
    bench.configure(agent={"approval": ["echo"]})
    model.script = [calling(("echo", '{"text": "x"}')), saying("done")]
    async with talking(api, session) as socket:
        await socket.send_json({"type": "message", "content": "hello"})
        asked = (await heard(socket, "approval"))[-1]
        assert asked["call"] == {"id": "call-1", "name": "echo", "arguments": {"text": "x"}}
        await socket.send_json({"type": "approval", "id": "appr_none", "approve": True})
        assert (await heard(socket, "error"))[-1]["error"]["code"] == "not_found"
        await socket.send_json({"type": "approval", "id": asked["id"], "approve": True})
        result, *_, done = await heard(socket, "done")
    assert (result["type"], result["success"]) == ("tool_result", True)
    assert done["message"]["content"] == "done"
