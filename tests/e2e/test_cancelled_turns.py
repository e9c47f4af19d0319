"""Whatever ends a turn or a call ends the guest that runs for it: in a real daemon, on every way in."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import call
from tests.e2e.test_language_models import KEY, configuration, models
from tests.e2e.test_sessions_last import Client
from tests.e2e.test_talking import say
from tests.support.model_dialects import Call, ChatCompletions, Said
from tests.support.model_server import ModelServer
from tests.support.waiting import wait_until

CHAT = ChatCompletions()
# A guest that spins may have an hour, and its plugin one thread.
_MANIFEST = """
[plugin]
name = "loop"
version = "1.0.0"
[resources]
max_execution_time_ms = 3600000
max_concurrency = 1
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with models() as server:
        yield server


@pytest.fixture
def client(start_daemon: StartDaemon, server: ModelServer, tmp_path: Path) -> Client:
    plugin = tmp_path / "plugins" / "loop"
    plugin.mkdir(parents=True)
    (plugin / "plugin.wasm").write_bytes(component("loop"))
    (plugin / "plugin.toml").write_text(_MANIFEST)
    (tmp_path / "prx.toml").write_text(configuration(server))
    client = Client(start_daemon(environment={"HOUSE_KEY": KEY}))
    wait_until(lambda: len(client.get("/tools")["tools"]) == 2)
    return client


def spin(server: ModelServer) -> None:
    """Have the model call the tool that never returns."""
    server.replies.append(CHAT.answer(Said([], [Call("a", "run", ["{}"])]), "large"))


def ping(client: Client) -> Any:
    """Call another function of the plugin: it gets the one thread once nobody else has it."""
    return call(f"{client.url}/tools/ping/call", client.token, {"arguments": {}})[1]["output"]


async def cancel_over_a_socket(url: str, token: str) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, protocols=["prx", f"bearer.{token}"]) as socket,
    ):
        await socket.send_json({"type": "message", "content": "spin", "ref": "r"})
        told: dict[str, Any] = await socket.receive_json(timeout=60)
        assert told["type"] == "tool_call"
        await socket.send_json({"type": "cancel"})
        ended: dict[str, Any] = await socket.receive_json(timeout=60)
        return ended


async def leave_a_call(url: str, token: str) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
        with pytest.raises(TimeoutError):
            await http.post(url, json={"arguments": {}}, timeout=aiohttp.ClientTimeout(total=0.5))


def test_cancelling_a_turn_its_sessions_end_and_a_client_that_leaves_end_the_guest(
    client: Client, server: ModelServer
) -> None:
    session = client.begin()
    spin(server)
    socket = client.url.replace("http", "ws", 1).removesuffix("/api/v1") + f"/ws/sessions/{session}"
    told = asyncio.run(cancel_over_a_socket(socket, client.token))
    assert (told["type"], told["error"]["code"]) == ("error", "cancelled")
    [called] = told["message"]["tool_calls"]
    assert called["error"]["code"] == "interrupted"
    assert ping(client) == "pong"

    # The model can go on from there: the call has a result.
    server.replies.append(CHAT.answer(Said(["I see."]), "large"))
    assert say(client.url, client.token, session, "and now?")[1]["content"] == "I see."
    roles = [message["role"] for message in server.received[-1].body["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]

    spin(server)
    answers: list[Any] = []
    asked = len(server.received)
    waiting = threading.Thread(target=lambda: answers.append(say(client.url, client.token, session, "spin")))
    waiting.start()
    wait_until(lambda: len(server.received) > asked)
    assert client.types("session", "end", session)[0] == 0
    waiting.join()
    assert answers[0][1]["error"]["code"] == "cancelled"
    assert ping(client) == "pong"

    asyncio.run(leave_a_call(f"{client.url}/tools/run/call", client.token))
    assert ping(client) == "pong"

    plugin = client.get("/plugins/loop")
    assert (plugin["status"], plugin["last_error"], plugin["calls"]["failed"]) == ("loaded", None, 0)
    # Those that had not begun when they were cancelled do not count.
    assert plugin["calls"]["errors"].keys() == {"cancelled"}
    assert client.daemon.stop() == 0
