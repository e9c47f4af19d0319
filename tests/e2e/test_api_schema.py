"""Every route of a running daemon is called with what its OpenAPI document allows, and with what it does not.

Schemathesis makes the calls and holds each answer against the document: status, headers, content type and body. What
does not fit has to be refused, nothing works without a token, and nothing may end as a fault of the daemon.
"""

import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from prx.api.app import ROUTES
from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.e2e.pushes import SECRET, pushed
from tests.support.mcp_host import SCRIPT
from tests.support.waiting import wait_until
from tests.unit.docs.documents import ROOT

RULES = Path(__file__).with_name("schemathesis.toml")
ORDINARY_EXAMPLES = 100
# What is set by a variable stays, whatever is written into the configuration over the API.
FIXED = {
    **{
        f"PRX__GATEWAY__RATE_LIMITS__{group}": "0"
        for group in ("SESSIONS_READ", "SESSIONS_WRITE", "CONFIG_WRITE", "OTHER")
    },
    "PRX__GATEWAY__REQUEST_TIMEOUT_SECS": "60",
    "PRX__DAEMON__LOG_LEVEL": "debug",
    "PRX__HOOKS__ALLOW_PRIVATE_TARGETS": "true",
    "PRX__AGENT__APPROVAL": '["check_luhn"]',
}


@pytest.fixture
def daemon(tmp_path: Path, start_daemon: StartDaemon) -> DaemonProcess:
    """A daemon with something of every kind."""
    shutil.copytree(ROOT / "plugins" / "check-digits", tmp_path / "plugins" / "check-digits")
    for number in range(3):
        (tmp_path / "plugins" / f"spare-{number}.wasm").write_bytes(component("nothing"))
    (tmp_path / "prx.toml").write_text(
        f"[mcp.servers.one]\ncommand = '{sys.executable}'\nargs = ['-S', '{SCRIPT}']\n"
        "[channels_config.pigeon]\n[channels_config.off]\nenabled = false\n"
        f"[channels_config.shop]\ntype = 'webhook'\nsecret = '{SECRET}'\n"
    )
    daemon = start_daemon(environment=FIXED)
    wait_for_plugin(daemon)
    # Another generation, so that there is one to step back to, and something to be granted.
    manifest = tmp_path / "plugins" / "check-digits" / "plugin.toml"
    changed = manifest.read_text().replace('version = "1.0.0"', 'version = "1.0.1"')
    manifest.write_text(f'{changed}\n[permissions]\noptional = ["kv", "memory", "events"]\n')
    wait_for_plugin(daemon)
    return daemon


def wait_for_plugin(daemon: DaemonProcess) -> None:
    while daemon.event("plugin loaded")["plugin"] != "check-digits":
        pass


class Subject:
    """The daemon, and what is in it."""

    def __init__(self, daemon: DaemonProcess) -> None:
        [ready] = [event for event in daemon.log if event["message"] == "ready"]
        self.url = ready["url"]
        self.token = daemon.token()

    def get(self, path: str) -> Any:
        status, body = call(self.url + path, self.token)
        assert status == 200
        return body

    def make(self, path: str, body: dict[str, Any], count: int) -> list[str]:
        """Make `count` things and return their ids."""
        made = [call(self.url + path, self.token, body) for _ in range(count)]
        assert {status for status, _ in made} == {201}
        return [thing["id"] for _, thing in made]

    def dictionaries(self) -> dict[str, list[str]]:
        """Return the names of what requests are to meet."""
        session = {"channel": "api", "user_id": "somebody"}
        hook = {"url": "http://127.0.0.1:9/", "events": ["config.changed"]}
        hooks = self.make("/hooks", hook, 1)
        _, delivery = call(f"{self.url}/hooks/{hooks[0]}/test", self.token, {})
        return {
            "plugins": ["check-digits"],
            "removed-plugins": [f"spare-{number}" for number in range(3)],
            "tools": ["check_luhn"],
            "channels": ["pigeon", "off"],
            "mcp-servers": ["one"],
            "sessions": self.make("/sessions", session, 2),
            "removed-sessions": self.make("/sessions", session, 3),
            "hooks": hooks,
            "deliveries": [delivery["id"]],
            "removed-hooks": self.make("/hooks", hook, 3),
        }

    def succeed(self, hook: str) -> None:
        """Call once what generated values are seldom right for."""
        granted = {"decisions": {"kv": True}}
        for method, path, body in (
            ("PUT", "/plugins/check-digits/grants", granted),
            ("PATCH", f"/hooks/{hook}", {"active": True}),
            ("PATCH", "/config", {"agent.max_turns": 60}),
            ("POST", "/tools/check_luhn/call", {"arguments": {"number": "79927398713"}}),
            ("POST", "/plugins/check-digits/rollback", {}),
        ):
            status, answer = call(self.url + path, self.token, body, method)
            assert status == 200, answer

    def approve(self, session: str) -> None:
        """Allow a call that waits for it, which nothing that is made up meets."""
        path = f"{self.url}/sessions/{session}"
        said = {"content": '/check_luhn {"number": "79927398713"}'}
        turn = threading.Thread(target=call, args=(f"{path}/messages", self.token, said))
        turn.start()
        wait_until(lambda: self.get(f"/sessions/{session}/approvals")["approvals"])
        [waiting] = self.get(f"/sessions/{session}/approvals")["approvals"]
        status, _ = call(f"{path}/approvals/{waiting['id']}", self.token, {"approve": True})
        turn.join()
        assert status == 200

    def pair(self) -> None:
        """Let in somebody who asked for it, whose code nothing that is made up meets."""
        wait_until(lambda: self.get("/channels/shop/health")["healthy"])
        status, _ = pushed(f"{self.url.removesuffix('/api/v1')}/channels/shop", "m1", "/pair")
        assert status == 200
        [waiting] = self.get("/pairings")["pairings"]
        status, _ = call(f"{self.url}/pairings/{waiting['code']}", self.token, {})
        assert status == 200

    def served(self) -> set[tuple[str, str]]:
        """Return the operations that succeeded, as the daemon counts them: 499 is a stream that its reader left."""
        request = urllib.request.Request(f"{self.url.removesuffix('/api/v1')}/metrics")  # noqa: S310
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            text = answer.read().decode()
        counted = re.findall(
            r'prx_http_requests_total\{method="(\w+)",route="/api/v1([^"]*)",status="(?:2\d\d|499)"\}', text
        )
        return set(counted)


@pytest.mark.slow
# Among the properties of `make proof`, whose number of examples it shares.
@pytest.mark.hypothesis
def test_every_answer_is_one_that_the_document_describes(daemon: DaemonProcess, tmp_path: Path) -> None:
    subject = Subject(daemon)
    examples = settings().max_examples
    dictionaries = subject.dictionaries()
    subject.succeed(dictionaries["hooks"][0])
    subject.approve(dictionaries["sessions"][0])
    subject.pair()
    rules = RULES.read_text() + "".join(
        f"\n[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in dictionaries.items()
    )
    (tmp_path / "schemathesis.toml").write_text(rules)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file",
        "schemathesis.toml",
        "run",
        f"{subject.url}/openapi.json",
        "--header",
        f"Authorization: Bearer {subject.token}",
        "--max-examples",
        str(examples // 10),
        # The proof looks further each time; what everybody waits for fails for a change, not by chance.
        *(["--generation-deterministic"] if examples <= ORDINARY_EXAMPLES else []),
        "--no-color",
    ]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    operations = {(route.method, route.path) for route in ROUTES if route.method != "HEAD"}
    assert operations - subject.served() == {("POST", "/plugins")}, "nothing that is made up is a plugin"
    assert subject.get("/status/health") == {"healthy": True}
    daemon.stop()
    assert [line for line in daemon.text if '"message": "request failed"' in line] == []
