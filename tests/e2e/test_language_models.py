"""Language models of a real daemon: asked over real protocols, changed while it runs, loaded where they are needed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.e2e.test_sessions_last import Client
from tests.e2e.test_talking import say
from tests.support.model_dialects import Call, ChatCompletions, Messages, Said
from tests.support.model_server import ModelServer, Reply, hold, json_reply, model_server
from tests.support.waiting import wait_until

KEY = "sk-of-the-environment-that-nobody-sees"
CHAT, CLAUDE = ChatCompletions(), Messages()


@contextmanager
def models() -> Iterator[ModelServer]:
    """Serve models from a thread, for tests that wait for processes."""
    there, over = threading.Event(), asyncio.Event()
    found: list[tuple[ModelServer, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with model_server() as server:
            found.append((server, asyncio.get_running_loop()))
            there.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    there.wait()
    server, loop = found[0]
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with models() as server:
        yield server


def configuration(server: ModelServer) -> str:
    """Return tables with one provider that speaks each of two protocols."""
    return f"""
[daemon]
log_level = "debug"
[provider]
name = "house"
model = "large"
[provider.others.house]
base_url = "{server.url}/v1"
api_key = "env:HOUSE_KEY"
[provider.others.claude]
type = "anthropic"
base_url = "{server.url}"
api_key = "env:HOUSE_KEY"
"""


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path) -> None:
    """Hold the directory that a configuration file brings with it."""
    (tmp_path / "plugins").mkdir()


def problems(url: str, token: str) -> dict[str, str]:
    _, status = call(f"{url}/status", token)
    return {problem["unit"]: problem["reason"] for problem in status["problems"]}


def has_loaded(daemon: DaemonProcess, package: str) -> bool:
    """Tell whether a compiled part of a package is mapped into the daemon."""
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    return f"/{package}/" in maps


def test_a_provider_that_cannot_be_used_degrades_the_daemon_until_the_configuration_is_right(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "prx.toml").write_text('[provider]\nname = "antropic"\nmodel = "claude"\n')
    daemon = start_daemon(environment={"ANTHROPIC_API_KEY": ""})
    url, token = daemon.event("ready")["url"], daemon.token()
    assert 'perhaps "anthropic" is meant' in problems(url, token)["provider.antropic"]

    daemon.prx("config", "set", "provider.name", "anthropic")
    wait_until(lambda: "provider.anthropic" in problems(url, token))
    assert (
        "set provider.api_key, or the environment variable ANTHROPIC_API_KEY"
        in (problems(url, token)["provider.anthropic"])
    )
    daemon.prx("config", "set", "provider.api_key", KEY)
    wait_until(lambda: not problems(url, token))
    _, status = call(f"{url}/status", token)
    assert (status["status"], status["provider"]) == ("healthy", {"name": "anthropic", "model": "claude"})
    assert daemon.stop() == 0
    assert KEY not in "".join(daemon.text)


def test_no_client_library_is_loaded_before_a_provider_needs_it(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    daemon.event("ready")
    assert not has_loaded(daemon, "jiter")
    daemon.prx("config", "set", "provider.model", "m")
    daemon.prx("config", "set", "provider.name", "ollama")
    wait_until(lambda: has_loaded(daemon, "jiter"))
    assert daemon.stop() == 0


def test_a_model_calls_a_tool_of_a_component_twice_at_once_and_answers(
    start_daemon: StartDaemon, server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "prx.toml").write_text(configuration(server))
    (tmp_path / "plugins" / "echo.wasm").write_bytes(component("echo"))
    client = Client(start_daemon(environment={"HOUSE_KEY": KEY}))
    (tool,) = [tool["name"] for tool in client.get("/tools")["tools"]]
    session = client.begin()
    calls = [Call("one", tool, ['{"text": ', '"first"}']), Call("two", tool, ['{"text": "second"}'])]
    server.replies += [
        CHAT.answer(Said(["Let me ", "see."], calls, input=100, output=20, cached=50), "large"),
        CHAT.answer(Said(["Both ", "came back."], input=150, output=10), "large"),
    ]
    status, answer = say(client.url, client.token, session, "echo twice")
    assert (status, answer["error"]) == (200, None)
    assert (answer["content"], answer["provider"], answer["model"]) == ("Both came back.", "house", "large")
    assert answer["usage"] == {"input": 250, "output": 30}
    assert [(each["id"], each["success"], each["output"]) for each in answer["tool_calls"]] == [
        ("one", True, "first"),
        ("two", True, "second"),
    ]
    first, second = server.received
    assert first.headers["Authorization"] == f"Bearer {KEY}"
    assert CHAT.asked(first.body).tools == [tool]
    assert [text for text, _ in CHAT.asked(second.body).results] == ["first", "second"]
    assert client.get(f"/sessions/{session}")["token_usage"] == {"input": 250, "output": 30}

    # Another provider goes on with what the first one said, from the next message on.
    client.daemon.prx("config", "set", "provider.model", "sonnet")
    client.daemon.prx("config", "set", "provider.name", "claude")
    server.replies.append(CLAUDE.answer(Said(["You said: echo twice."]), "sonnet"))
    status, answer = say(client.url, client.token, session, "what did I say?")
    assert (answer["content"], answer["provider"]) == ("You said: echo twice.", "claude")
    third = server.received[2]
    assert third.path == "/v1/messages"
    assert [text for text, _ in CLAUDE.asked(third.body).results] == ["first", "second"]

    server.replies.append(CLAUDE.error(401, f"this key is wrong: {KEY}"))
    status, answer = say(client.url, client.token, session, "and now?")
    assert answer["error"]["code"] == "needs_configuration"
    assert "this key is wrong: ***REDACTED***" in answer["error"]["message"]
    assert list(problems(client.url, client.token)) == ["provider.claude"]
    assert client.daemon.stop() == 0
    log = "".join(client.daemon.text)
    assert "a provider answered" in log
    # Conversations belong into the transcript, whatever the level of the log.
    for secret in (KEY, "echo twice", "came back"):
        assert secret not in log
    kept = b"".join(path.read_bytes() for path in client.daemon.data_dir.rglob("*") if path.is_file())
    assert KEY.encode() not in kept


def test_the_end_of_a_session_ends_the_request_to_the_model(
    start_daemon: StartDaemon, server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "prx.toml").write_text(configuration(server))
    client = Client(start_daemon(environment={"HOUSE_KEY": KEY}))
    session = client.begin()
    server.replies.append(CHAT.answer(Said(["Once upon ", "a time"])).cut_after(2, hold))
    answers: list[dict[str, object]] = []
    waiting = threading.Thread(
        target=lambda: answers.append(say(client.url, client.token, session, "tell me a story")[1])
    )
    waiting.start()
    wait_until(lambda: server.received)
    client.daemon.prx("session", "end", session)
    waiting.join()
    wait_until(server.left.is_set)
    assert answers[0]["error"] == {"code": "cancelled", "message": "The session was ended before the answer"}
    assert client.daemon.stop() == 0


def vectors(*texts: tuple[float, float]) -> Reply:
    """Return the answer of an embedding model."""
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(texts)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return json_reply(200, {"object": "list", "data": data, "model": "small", "usage": usage})


def test_a_memory_is_found_by_what_it_means_and_by_words_while_its_model_is_away(
    start_daemon: StartDaemon, server: ModelServer, tmp_path: Path
) -> None:
    memory = '[memory]\ntools = true\nembedding_model = "house/small"\n'
    (tmp_path / "prx.toml").write_text(configuration(server) + memory)
    client = Client(start_daemon(environment={"HOUSE_KEY": KEY}))
    url, token, daemon = client.url, client.token, client.daemon
    session = client.begin()

    server.replies.append(vectors((1.0, 0.1)))
    text = {"arguments": {"text": "The user drinks tea."}}
    wait_until(lambda: call(f"{url}/tools/memory_store/call", token, text)[0] == 200)
    wait_until(lambda: bool(server.received))
    assert server.received[0].body["input"] == ["The user drinks tea."]

    def remembered(content: str, embedding: Reply) -> bool:
        server.replies += [embedding, CHAT.answer(Said(["Noted."]), "large")]
        assert say(url, token, session, content)[1]["content"] == "Noted."
        return "The user drinks tea." in str(server.received[-1].body["messages"])

    # The vector is kept a moment after the model gave it.
    wait_until(lambda: remembered("any beverages?", vectors((1.0, 0.0))))
    assert not remembered("any cars?", vectors((-1.0, 0.0)))
    assert remembered("tea?", json_reply(500, {"error": {"message": "out of order"}}))
    assert "out of order" in problems(url, token)["agent.embeddings"]
    assert daemon.stop() == 0
    assert KEY not in "".join(daemon.text)
