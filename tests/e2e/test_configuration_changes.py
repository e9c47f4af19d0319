"""The configuration changes while calls run: by file, over the API and by the command line, and each key acts."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import WAIT_SECS, DaemonProcess

JsonObject = dict[str, Any]


class Client:
    """One operator's requests."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.url = daemon.event("ready")["url"]
        self.token = daemon.token()

    def send(
        self, method: str, path: str, body: JsonObject | None = None, **headers: str
    ) -> tuple[int, JsonObject, Mapping[str, str]]:
        """Return status, JSON and headers of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_SECS) as answer:  # noqa: S310
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error), error.headers

    def status_of(self, method: str, path: str, body: JsonObject | None = None, **headers: str) -> int:
        return self.send(method, path, body, **headers)[0]

    def patch(self, changes: JsonObject) -> JsonObject:
        """Change keys, which must be right."""
        status, answer, _ = self.send("PATCH", "/config", changes)
        assert status == 200, answer
        return answer

    def get(self, path: str) -> JsonObject:
        status, answer, _ = self.send("GET", path)
        assert status == 200, answer
        return answer


class Caller(threading.Thread):
    """Calls a tool all the time; every call must succeed."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._stop_calling = threading.Event()
        self.calls = 0
        self.failures: list[JsonObject] = []

    def run(self) -> None:
        while not self._stop_calling.is_set():
            _, answer, _ = self._client.send("POST", "/tools/add/call", {"arguments": {"a": 2, "b": 3}})
            self.calls += 1
            if answer.get("output") != 5:
                self.failures.append(answer)

    def stop(self) -> None:
        self._stop_calling.set()
        self.join(WAIT_SECS)


@contextmanager
def calling(client: Client) -> Iterator[None]:
    """Keep calls running for the length of the block, and hold that none failed."""
    caller = Caller(client)
    caller.start()
    try:
        yield
    finally:
        caller.stop()
    assert caller.calls > 0
    assert caller.failures == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A configuration file, and two plugins: one adds, one never returns."""
    (tmp_path / "plugins").mkdir()
    for name in ("adder", "loop"):
        (tmp_path / "plugins" / f"{name}.wasm").write_bytes(component(name))
    edit(tmp_path)
    return tmp_path


def edit(home: Path, text: str = "") -> None:
    """Write prx.toml as an operator would, with `text` in it."""
    (home / "prx.toml").write_text(
        f"[gateway.rate_limits]\nother = 0\n[plugins.limits]\nmax_execution_time_ms = 600000\n{text}"
    )


@pytest.fixture
def daemon(home: Path, start_daemon: StartDaemon) -> DaemonProcess:
    assert home.is_dir()
    return start_daemon()


@pytest.fixture
def client(daemon: DaemonProcess) -> Client:
    """Return a client that finds both plugins loaded."""
    client = Client(daemon)
    until(lambda: all(plugin["status"] == "loaded" for plugin in client.get("/plugins")["plugins"]))
    return client


def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so; the rate limit is off for that."""
    deadline = time.monotonic() + WAIT_SECS
    while not condition():
        assert time.monotonic() < deadline


def test_an_edit_of_any_file_acts_by_itself(home: Path, daemon: DaemonProcess, client: Client) -> None:
    with calling(client):
        assert client.status_of("GET", "/status", Host="agents.example") == 403
        (home / "prx.d").mkdir()
        (home / "prx.d" / "hosts.toml").write_text("[gateway]\nallowed_hosts = ['agents.example']\n")
        assert daemon.event("configuration changed")["changed"] == "gateway.allowed_hosts"
        assert client.status_of("GET", "/status", Host="agents.example") == 200

        edit(home, "[daemon]\nlog_level = 'debug'\n")
        assert daemon.event("configuration changed")["changed"] == "daemon.log_level"
        assert client.status_of("GET", "/plugins/none") == 404
        assert daemon.event("refused")["level"] == "debug"

        page = {"Origin": "https://console.example"}
        assert "Access-Control-Allow-Origin" not in client.send("GET", "/status", **page)[2]
        edit(home, "[gateway.cors]\nallowed_origins = ['https://console.example']\n")
        changed = daemon.event("configuration changed")["changed"]
        assert changed == "gateway.cors.allowed_origins, daemon.log_level"
        assert client.send("GET", "/status", **page)[2]["Access-Control-Allow-Origin"] == page["Origin"]

        (home / "prx.d" / "hosts.toml").unlink()
        daemon.event("configuration changed")
        assert client.status_of("GET", "/status", Host="agents.example") == 403


def test_a_patch_acts_before_it_is_answered(client: Client) -> None:
    with calling(client):
        client.patch({"gateway.allowed_hosts": ["agents.example"]})
        assert client.status_of("GET", "/status", Host="agents.example") == 200
        client.patch({"gateway.request_timeout_secs": 3})  # for the other calls, too
        status, answer, _ = client.send("POST", "/tools/run/call", {"arguments": {}})
        assert (status, answer["error"]["code"]) == (503, "unavailable")
        assert "request_timeout_secs sets the limit" in answer["error"]["message"]
        client.patch({"gateway.rate_limits.config_write": 1})
        until(lambda: client.status_of("PATCH", "/config", {"memory.top_k": 3}) == 429)


def test_a_command_acts_on_the_running_daemon(daemon: DaemonProcess, client: Client) -> None:
    with calling(client):
        said = daemon.prx("config", "set", "gateway.allowed_hosts", '["agents.example"]')
        assert said == "gateway.allowed_hosts is set."
        assert client.status_of("GET", "/status", Host="agents.example") == 200
        shown = daemon.prx("config", "show", "--origin")
        assert f'gateway.allowed_hosts = ["agents.example"]  # {daemon.data_dir}/overlay.toml:3' in shown
        assert "gateway.port = 0  # PRX__GATEWAY__PORT" in shown
        assert daemon.prx("config", "unset", "gateway.allowed_hosts").endswith("out of the overlay.")
        assert client.status_of("GET", "/status", Host="agents.example") == 403


def test_keys_of_plugins_act_on_those_that_are_loaded(
    home: Path, daemon: DaemonProcess, client: Client
) -> None:
    with calling(client):
        # For the other calls, too: on a busy machine they wait for their turn.
        client.patch({"plugins.limits.max_execution_time_ms": 1000})
        _, answer, _ = client.send("POST", "/tools/run/call", {"arguments": {}})
        assert answer["error"]["code"] == "timeout"
        assert "1000 ms" in answer["error"]["message"]
        daemon.prx("config", "set", "plugins.settings.loop.tool_prefix", "my_")
        assert sorted(tool["name"] for tool in client.get("/tools")["tools"]) == [
            "add",
            "my_ping",
            "my_run",
        ]
        edit(home, "[plugins.settings.loop.limits]\nmax_execution_time_ms = 1100\n")
        while "loop.limits" not in daemon.event("configuration changed")["changed"]:
            pass  # the changes before this one
        _, answer, _ = client.send("POST", "/tools/my_run/call", {"arguments": {}})
        assert "1100 ms" in answer["error"]["message"]
    daemon.prx("config", "set", "plugins.require_signature", "true")
    status, answer, _ = client.send("POST", "/tools/add/call", {"arguments": {"a": 1, "b": 1}})
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert "it is not signed" in answer["error"]["message"]
    daemon.prx("config", "unset", "plugins.require_signature")
    assert client.status_of("POST", "/tools/add/call", {"arguments": {"a": 1, "b": 1}}) == 200


def test_a_key_that_needs_a_restart_says_so_and_acts_after_it(
    home: Path, daemon: DaemonProcess, client: Client, start_daemon: StartDaemon
) -> None:
    large = {"arguments": {"a": 2, "b": 3, "padding": "x" * 3000}}
    with calling(client):
        answer = client.patch({"gateway.max_body_kb": 2, "gateway.allowed_hosts": ["agents.example"]})
        assert answer["reload_required"] is True
        assert answer["results"]["gateway.max_body_kb"] == "restart_required"
        assert client.get("/status")["config"]["restart_required"] is True
        assert client.status_of("POST", "/tools/add/call", large) == 400
    assert daemon.stop() == 0
    before = (home / "prx.toml").read_text()
    client = Client(start_daemon())
    assert client.get("/status")["config"]["restart_required"] is False
    assert client.status_of("POST", "/tools/add/call", large) == 413
    assert client.status_of("GET", "/status", Host="agents.example") == 200
    assert (home / "prx.toml").read_text() == before


def test_a_bad_edit_changes_nothing_and_is_told_until_it_is_mended(
    home: Path, daemon: DaemonProcess, client: Client
) -> None:
    with calling(client):
        client.patch({"gateway.allowed_hosts": ["agents.example"]})
        edit(home, "[memory]\ntop_k = 'many'\n[daemon]\nlog_level = 'error'\n")
        reason = daemon.event("the configuration was refused, the old one stays")["reason"]
        place = f"{home / 'prx.toml'}:6: memory.top_k: expected integer, at least 1, at most 1000"
        assert reason.startswith(place)
        status = client.get("/status")
        assert status["status"] == "degraded"
        assert place in status["problems"][0]["reason"]
        assert client.get("/config")["daemon"]["log_level"] == "info"
        assert client.status_of("GET", "/status", Host="agents.example") == 200
        (home / "prx.toml").unlink()
        daemon.event("the configuration was refused, the old one stays")
        edit(home, "[memory]\ntop_k = 5\n")
        daemon.event("configuration changed")
        assert client.get("/status")["status"] == "healthy"


def test_an_edit_that_the_overlay_hides_is_told(home: Path, daemon: DaemonProcess, client: Client) -> None:
    client.patch({"memory.top_k": 5})
    edit(home, "[memory]\ntop_k = 6\n")
    event = daemon.event("a key that was set has no effect: a later layer sets it, too")
    assert (event["key"], event["layer"]) == ("memory.top_k", f"{daemon.data_dir}/overlay.toml")
