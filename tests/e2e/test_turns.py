"""Turns of a real daemon in which a model calls a component and an MCP server at once, on every way in."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.hook_receiver import SECRET, Taken, receiver
from tests.e2e.test_language_models import KEY, configuration, models
from tests.e2e.test_mcp_servers import table
from tests.e2e.test_sessions_last import Client
from tests.e2e.test_talking import say
from tests.support.model_dialects import Call, ChatCompletions, Said
from tests.support.model_server import ModelServer
from tests.support.platforms.telegram import TelegramServer
from tests.support.rehearsals.emulated import TelegramRehearsal
from tests.support.waiting import wait_until

CHAT = ChatCompletions()
WASM, MCP = "echo", "mcp__one__echo"
StartClient = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with models() as server:
        yield server


def script(server: ModelServer) -> None:
    """Have the model call both tools at once, and then answer."""
    calls = [Call("a", WASM, ['{"text": "of wasm"}']), Call("b", MCP, ['{"text": "of mcp"}'])]
    server.replies += [
        CHAT.answer(Said(["Let me see."], calls, input=100, output=20), "large"),
        CHAT.answer(Said(["Both ", "came back."], input=150, output=10), "large"),
    ]


async def talk_over_a_socket(url: str, token: str) -> list[dict[str, Any]]:
    """Say something and return what is told until the end of the turn."""
    told: list[dict[str, Any]] = []
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(url, protocols=["prx", f"bearer.{token}"]) as socket,
    ):
        await socket.send_json({"type": "message", "content": "ask both", "ref": "r"})
        while not told or told[-1]["type"] not in ("done", "error"):
            told.append(await socket.receive_json(timeout=60))
    return told


@pytest.fixture
def start_client(start_daemon: StartDaemon, server: ModelServer, tmp_path: Path) -> StartClient:
    """Return what starts a daemon with both tools and a webhook, and with more in its configuration."""

    def start(taken: Taken, more: str = "") -> Client:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "echo.wasm").write_bytes(component("echo"))
        hook = f'[[hooks.endpoints]]\nurl = "{taken.url}"\nsecret = "{SECRET}"\n'
        (tmp_path / "prx.toml").write_text(configuration(server) + table("one") + hook + more)
        environment = {"HOUSE_KEY": KEY, "PRX__HOOKS__ALLOW_PRIVATE_TARGETS": "true"}
        client = Client(start_daemon(environment=environment))
        wait_until(lambda: {WASM, MCP} <= {tool["name"] for tool in client.get("/tools")["tools"]})
        return client

    return start


def test_one_turn_calls_a_component_and_an_mcp_server(start_client: StartClient, server: ModelServer) -> None:
    with receiver() as taken:
        client = start_client(taken)
        session = client.begin()

        script(server)
        status, answer = say(client.url, client.token, session, "ask both")
        assert (status, answer["error"], answer["content"]) == (200, None, "Both came back.")
        called = [
            (call["id"], call["name"], call["success"], call["output"]) for call in answer["tool_calls"]
        ]
        assert called == [("a", WASM, True, "of wasm"), ("b", MCP, True, "of mcp")]
        assert answer["usage"] == {"input": 250, "output": 30}

        script(server)
        socket = client.url.replace("http", "ws", 1).removesuffix("/api/v1") + f"/ws/sessions/{session}"
        told = asyncio.run(talk_over_a_socket(socket, client.token))
        names = [event["type"] for event in told]
        assert (names.count("tool_call"), names.count("tool_result"), names[-1]) == (2, 2, "done")
        assert {event["ref"] for event in told} == {"r"}

        script(server)
        code, said, calls = client.types("session", "send", session, "ask both")
        assert (code, said) == (0, "Let me see.\nBoth came back.\n")
        assert calls.splitlines() == [
            f'prx: {WASM} {{"text": "of wasm"}}', f'prx: {MCP} {{"text": "of mcp"}}',
        ]  # fmt: skip

        messages = client.get(f"/sessions/{session}/messages")["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant"] * 3
        assert messages[1] == answer
        assert told[-1]["message"] == messages[3]
        # What was done before is part of what the model sees.
        assert [text for text, _ in CHAT.asked(server.received[-1].body).results] == ["of wasm", "of mcp"] * 3
        detail = client.get(f"/sessions/{session}")
        assert (detail["turn_count"], detail["token_usage"]) == (3, {"input": 750, "output": 90})

        check_events(taken, session, messages)
        check_log(client)


async def test_a_message_on_a_channel_has_the_model_call_both(
    start_client: StartClient, server: ModelServer
) -> None:
    async with TelegramServer() as telegram:
        with receiver() as taken:
            await talk_over_telegram(TelegramRehearsal(telegram), taken, start_client, server)


async def talk_over_telegram(
    platform: TelegramRehearsal, taken: Taken, start_client: StartClient, server: ModelServer
) -> None:
    """Say the same on Telegram, and go on in that session over REST."""
    keys = {**platform.table(), "allowed_users": ["111"]}
    channel = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    client = await asyncio.to_thread(start_client, taken, f"[channels_config.telegram]\n{channel}\n")
    script(server)
    await platform.say("ask both")
    messages = await asyncio.to_thread(transcript_over, client, "telegram", 2)
    assert await platform.read() == "Both came back."
    assert platform.shown == ["Both came back."]

    session, answer = messages[0]["session_id"], messages[1]
    assert (messages[0]["content"], answer["content"]) == ("ask both", "Both came back.")
    called = [(call["name"], call["success"], call["output"]) for call in answer["tool_calls"]]
    assert called == [(WASM, True, "of wasm"), (MCP, True, "of mcp")]

    script(server)
    status, again = await asyncio.to_thread(say, client.url, client.token, session, "ask both")
    assert (status, again["error"], len(again["tool_calls"])) == (200, None, 2)
    # What was done on the channel is part of what the model sees.
    assert [text for text, _ in CHAT.asked(server.received[-1].body).results] == ["of wasm", "of mcp"] * 2
    detail = await asyncio.to_thread(client.get, f"/sessions/{session}")
    assert (detail["channel"], detail["user_id"], detail["turn_count"], detail["token_usage"]) == (
        "telegram", "111", 2, {"input": 500, "output": 60},
    )  # fmt: skip
    messages = await asyncio.to_thread(transcript_over, client, "telegram", 4)
    await asyncio.to_thread(check_events, taken, session, messages)
    await asyncio.to_thread(check_log, client)


def transcript_over(client: Client, channel: str, length: int) -> list[dict[str, Any]]:
    """Return what was said in the one session over a channel, once it is so long."""

    def messages() -> list[dict[str, Any]]:
        sessions = client.get(f"/sessions?channel={channel}")["sessions"]
        return client.get(f"/sessions/{sessions[0]['id']}/messages")["messages"] if sessions else []

    wait_until(lambda: len(messages()) == length)
    return messages()


def check_events(taken: Taken, session: str, messages: list[dict[str, Any]]) -> None:
    """See that the webhook was told of each message once, and of both tools."""
    ids = {message["id"] for message in messages}
    wait_until(lambda: ids <= {event["data"].get("id") for event in taken.events})
    kinds = [event["event"] for event in taken.events if event["data"].get("id") in ids]
    half = len(messages) // 2
    assert sorted(kinds) == ["message.received"] * half + ["message.sent"] * half
    executed = [event["data"] for event in taken.events if event["event"] == "tool.executed"]
    assert {(data["tool"], data["session_id"]) for data in executed} == {(WASM, session), (MCP, session)}


def check_log(client: Client) -> None:
    """See that the daemon stops in peace, and had nothing to complain about."""
    assert client.daemon.stop() == 0
    failures = [line for line in client.daemon.log if line["level"] in ("warn", "error")]
    assert not failures, json.dumps(failures)
