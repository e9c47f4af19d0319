"""Secrets through every door of a real daemon; none of them comes out where it should not.

Each canary is a text that occurs nowhere else. Afterwards everything that the daemon wrote and answered is searched:
its stderr, its files, its answers and streams.
"""

import http.client
import json
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from prx.runtime.log_values import MASK
from prx.runtime.logs.files import log_files
from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import WAIT_SECS, DaemonProcess
from tests.support.waiting import wait_until

_REMEMBER = """
[plugin]
name = "remember"
version = "1.0.0"
[permissions]
required = ["kv"]
[config]
stored = "secret:KEY"
"""


class Canaries:
    """Secrets, each with the name of its door."""

    def __init__(self) -> None:
        self._named: dict[str, str] = {}

    def __getitem__(self, door: str) -> str:
        # Letters alone: no encoding on the way changes them.
        return self._named.setdefault(
            door, "canary" + "".join(secrets.choice("abcdefghij") for _ in range(24))
        )

    def found_in(self, data: bytes, *, but: tuple[str, ...] = ()) -> list[str]:
        return [door for door, value in self._named.items() if door not in but and value.encode() in data]


class Caller:
    """Sends requests of any form, and keeps every byte of the answers."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self.answers = b""

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=WAIT_SECS)
        connection.request(method, f"{self._url.path}{path}", body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        self.answers += str(answer.headers).encode() + content
        connection.close()
        return json.loads(content) if content else None

    def send_raw(self, data: bytes) -> None:
        with socket.create_connection(
            (self._url.hostname or "", self._url.port or 0), timeout=WAIT_SECS
        ) as sent:
            sent.sendall(data)
            sent.shutdown(socket.SHUT_WR)
            while received := sent.recv(65536):
                self.answers += received


@pytest.fixture
def canary() -> Canaries:
    return Canaries()


@pytest.fixture
def daemon(start_daemon: StartDaemon, tmp_path: Path, canary: Canaries) -> DaemonProcess:
    """A daemon that logs everything, full of secrets."""
    directory = tmp_path / "plugins" / "remember"
    directory.mkdir(parents=True)
    (directory / "plugin.toml").write_text(_REMEMBER)
    (directory / "plugin.wasm").write_bytes(component("prx-tool"))
    (tmp_path / "prx.toml").write_text(configuration(canary))
    environment = {
        "PRX__PROVIDER__API_KEY": canary["environment of a key"],
        "BOT_TOKEN": canary["environment by name"],
        "HOME_MADE_PASSWORD": canary["environment of the daemon"],
        "PRX__GATEWAY__RATE_LIMITS__OTHER": "0",
    }
    return start_daemon("--log-level", "trace", environment=environment)


def configuration(canary: Canaries) -> str:
    return f"""
[provider]
base_url = "https://user:{canary["userinfo of a url"]}@localhost:1/v1"
[mcp.servers.files]
url = "http://{canary["user of a url"]}@localhost:1/"
headers = {{ Authorization = "Bearer {canary["header of a server"]}" }}
[mcp.servers.search]
url = "http://localhost:1/mcp?api_key={canary["parameter of a url"]}"
[mcp.servers.tools]
command = "nothing"
env = {{ ANYTHING = "{canary["environment of a server"]}" }}
[channels_config.pigeon]
enabled = false
bot_token = "env:BOT_TOKEN"
[channels_config.matrix]
enabled = false
homeserver = "https://localhost:1"
user = "@prx:localhost"
password = "{canary["password of a channel"]}"
[[hooks.endpoints]]
url = "https://localhost:1/hook"
secret = "whsec_{canary["secret of a hook"]}"
[plugins.settings.remember.config]
api_key = "{canary["key of a plugin"]}"
"""


def prx(daemon: DaemonProcess, *arguments: str, given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prx", *arguments],
        cwd=daemon.home, env=daemon.environment, input=given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def wrong_configurations(canary: Canaries) -> Iterator[str]:
    """Yield files that are refused, each with a secret where the mistake is."""
    yield f'[[hooks.endpoints]]\nurl = "x"\nsecret = ["{canary["key of a wrong type"]}"]\n'
    yield f'[provider]\napi_key = "{canary["key without its end"]}\n'
    yield f"[channels_config.a]\npassword = 1{canary['password without quotes']}\n"
    yield f'[provider]\nbase_url = ["https://me:{canary["url of a wrong type"]}@localhost"]\n'
    yield f'[mcp.servers.a]\ncommand = "x"\nenv = {{ A = ["{canary["variable of a wrong type"]}"] }}\n'
    yield f'[channels_config.a]\napi_keyy = "{canary["key with a slip"]}"\ntoken = 5\n'
    for table, key in (("agent", "max_turns"), ("gateway", "host"), ("mcp.servers.a", "transport")):
        yield f'[{table}]\n{key} = "{canary["secret beside its key"]}"\n'
    yield f'[plugins]\ntrusted_keys = ["{canary["secret beside its key"]}"]\n'
    yield f'[channels_config.a]\nbot_token = "env:{canary["secret beside its key"]}"\n'


def test_no_secret_is_written_or_answered(daemon: DaemonProcess, canary: Canaries, tmp_path: Path) -> None:
    caller = Caller(daemon.event("ready")["url"])
    token = prx(daemon, "auth", "token")
    canary._named["token of the api"] = token
    prx(daemon, "secret", "set", "KEY", given=canary["secret of a plugin"])
    admin = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    wait_until(lambda: caller.send("GET", "/plugins/remember", headers=admin)["status"] == "loaded")

    wrong = canary["token that is wrong"]
    for authorization in (
        f"Bearer {wrong}", f"Bearer prx_{wrong}", f"Basic {wrong}", wrong, f"bearer  {wrong} x", f"Bearer\t{wrong}",
    ):  # fmt: skip
        caller.send("GET", "/status", headers={"Authorization": authorization})
    for path in (
        "/status",
        "/tools",
        "/plugins",
        "/plugins/remember",
        "/plugins/remember/grants",
        "/events/none",
    ):
        query = f"?token={canary['token in a query']}&api_key={canary['key in a query']}"
        caller.send(
            "GET", path + query, headers=admin | {"Cookie": canary["cookie"], "X-Api-Key": canary["header"]}
        )
    for parameter in ("level", "since", "limit", "offset", "stream"):
        caller.send("GET", f"/logs?{parameter}={canary['parameter']}", headers=admin)
    for body in bodies(canary):
        caller.send("POST", "/tools/remember/call", body, admin)
        caller.send("PUT", "/plugins/remember/grants", body, admin)
    for raw in raw_requests(canary):
        caller.send_raw(raw)
    register_hooks(caller, canary, admin)
    # A guest that prints what it got: everything that PRX itself knows to be secret.
    for text in (
        token,
        f"https://user:{canary['userinfo of a url']}@localhost/",
        f"the key is {canary['key of a plugin']}, {canary['environment of a key']}",
        json.dumps(
            {"password": canary["password of a channel"], "hook": "whsec_" + canary["secret of a hook"]}
        ),
        f"Authorization: Bearer {canary['header of a server']}",
        f"whsec_{canary['secret of a printed hook']}",
    ):
        told = caller.send(
            "POST", "/tools/remember/call", json.dumps({"arguments": {"text": text}}).encode(), admin
        )
        assert told["success"] is True
    # What the guest keeps and gives back is its own: the last answers and the store hold what it was given.
    given = (
        "token of the api", "userinfo of a url", "key of a plugin", "environment of a key", "password of a channel",
        "secret of a hook", "header of a server", "secret of a printed hook",
    )  # fmt: skip
    assert set(canary.found_in(caller.answers)) <= set(given)
    caller.answers = b""
    for patch in patches(canary):
        caller.send("PATCH", "/config", json.dumps(patch).encode(), admin)
        caller.send("GET", "/config", headers=admin)
    caller.send("GET", "/config/schema", headers=admin)
    caller.answers += prx(daemon, "config", "show", "--origin").encode()
    for content in wrong_configurations(canary):
        (tmp_path / "prx.toml").write_text(content)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("the configuration was refused, the old one stays")
        caller.send("GET", "/status", headers=admin)
    (tmp_path / "prx.toml").write_text(configuration(canary))
    page = caller.send("GET", "/logs?level=trace&limit=500", headers=admin)
    assert sum(MASK in json.dumps(entry) for entry in page["entries"]) >= 5
    follow = {"since": "2020-01-01", "limit": "500", "level": "trace"}
    shown = prx(daemon, "logs", *(part for key, value in follow.items() for part in (f"--{key}", value)))
    assert daemon.stop() == 0

    assert [line for line in daemon.text if canary.found_in(line.encode())] == []
    assert canary.found_in(caller.answers) == []
    assert canary.found_in(shown.encode()) == []
    assert log_files(daemon.data_dir / "logs") != []
    for path in daemon.data_dir.rglob("*"):
        if path.is_file():
            # The store keeps what the guest was given, the overlay what it was told to keep, for the owner alone.
            kept = given if path.name.startswith("prx.db") else ("secret of a patch",)
            found = canary.found_in(path.read_bytes(), but=kept)
            assert found == [], path
            if canary["secret of a patch"].encode() in path.read_bytes():
                assert path.name == "overlay.toml", path
                assert stat.S_IMODE(path.stat().st_mode) == 0o600


def register_hooks(caller: Caller, canary: Canaries, admin: dict[str, str]) -> None:
    """Register webhooks, one of which is taken, with secrets."""
    hook = {"url": "https://1.1.1.1/", "events": ["mcp.connected"]}
    for secret in (f"whsec_{canary['secret of a registered hook']}", canary["secret of a refused hook"]):
        caller.send("POST", "/hooks", json.dumps({**hook, "secret": secret}).encode(), admin)
        caller.send("POST", "/hooks", json.dumps({**hook, "secret": [secret]}).encode(), admin)
    _, registered = caller.send("GET", "/hooks", headers=admin)["hooks"]
    change = {"secret": f"whsec_{canary['next secret of a hook']}"}
    caller.send("PATCH", f"/hooks/{registered['id']}", json.dumps(change).encode(), admin)
    caller.send("GET", f"/hooks/{registered['id']}", headers=admin)


def patches(canary: Canaries) -> Iterator[dict[str, Any]]:
    """Yield changes of the configuration: one that is taken, and others that are refused, with secrets in them."""
    yield {"channels_config.matrix.password": canary["secret of a patch"]}
    yield {"channels_config.matrix.password": [canary["secret of a wrong patch"]]}
    yield {"provider.api_key": {"a": canary["secret of a wrong patch"]}}
    yield {"provider.base_url": [f"https://me:{canary['secret of a wrong patch']}@localhost"]}
    yield {"channels_config.matrix.token": canary["secret of a wrong patch"], "agent.max_turns": "many"}
    for key in ("agent.max_turns", "daemon.log_level", "gateway.host", "plugins.trusted_keys"):
        yield {key: canary["secret of another key"]}
        yield {key: [canary["secret of another key"]]}


def bodies(canary: Canaries) -> Iterator[bytes]:
    """Yield bodies that are refused, each with a secret in it."""
    secret = canary["body"]
    yield f'{{"arguments": {{"text": "{secret}'.encode()
    yield f"{secret}".encode()
    yield f'{{"arguments": "{secret}"}}'.encode()
    yield f'{{"arguments": {{"text": ["{secret}"]}}}}'.encode()
    yield f'{{"arguments": {{"password": "{secret}"}}}}'.encode()
    yield f'{{"decisions": {{"kv": "{secret}"}}}}'.encode()
    yield json.dumps({"arguments": {"text": secret}}).encode("utf-16")


def raw_requests(canary: Canaries) -> Iterator[bytes]:
    """Yield what is not HTTP, each with a secret in it."""
    secret = canary["bytes that are not http"]
    yield f"{secret}\r\n\r\n".encode()
    yield f"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \0{secret}\r\n\r\n".encode()
    yield f"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n{secret}\r\n\r\n".encode()
    yield f"GET /api/v1/status HTTP/1.1\r\nHost: {secret}\r\n\r\n".encode()
    yield f"GET /{quote(secret)} HTTP/9.9\r\nHost: localhost\r\n\r\n".encode()
    yield f"POST /api/v1/tools/x/call HTTP/1.1\r\nHost: localhost\r\nContent-Length: {secret}\r\n\r\n".encode()
    yield f"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX-Key: {secret}{'x' * 20_000}\r\n\r\n".encode()


def test_the_test_would_find_one(canary: Canaries) -> None:
    assert canary.found_in(f"x{canary['door']}x".encode() + os.urandom(9)) == ["door"]
