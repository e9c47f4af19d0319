"""Webhooks of a real daemon: told of what happens, over kills, and looked after from the command line."""

import json
from pathlib import Path

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import call
from tests.e2e.hook_receiver import SECRET, receiver, stream_through_kills
from tests.e2e.test_command_line import Operator
from tests.support.waiting import wait_until

LAX = {
    "PRX__HOOKS__ALLOW_PRIVATE_TARGETS": "true",
    "PRX__GATEWAY__RATE_LIMITS__SESSIONS_WRITE": "0",
    "PRX__AGENT__MAX_OPEN_SESSIONS": "100000",
}


def test_an_event_that_was_acknowledged_is_told_whenever_the_daemon_is_killed(
    start_daemon: StartDaemon,
) -> None:
    stream_through_kills(lambda: start_daemon(environment=LAX), events=400, kills=4)


def test_a_daemon_tells_of_sessions_plugins_tools_and_its_configuration(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "echo.wasm").write_bytes(component("echo"))
    (tmp_path / "prx.toml").write_text('[plugins]\ndirectory = "plugins"\n')
    with receiver() as taken:
        endpoint = f'[[hooks.endpoints]]\nurl = "{taken.url}"\nsecret = "{SECRET}"\n'
        file = tmp_path / "config.toml"
        file.write_text('[plugins]\ndirectory = "plugins"\n' + endpoint)
        daemon = start_daemon("--config", str(file), environment=LAX)
        url, token = str(daemon.event("ready")["url"]), daemon.prx("--config", str(file), "auth", "token")
        status, session = call(f"{url}/sessions", token, {"channel": "api", "user_id": "somebody"})
        assert status == 201
        assert call(f"{url}/tools/echo/call", token, {"arguments": {"text": "hello"}})[0] == 200
        file.write_text('[agent]\nmax_turns = 9\n[plugins]\ndirectory = "plugins"\n' + endpoint)
        wait_until(lambda: "config.changed" in {event["event"] for event in taken.events})
        told = {event["event"]: event["data"] for event in taken.events}
        _, hooks = call(f"{url}/hooks", token)
        assert [hook["events"] for hook in hooks["hooks"]] == [["*"]]
        file.write_text('[plugins]\ndirectory = "plugins"\n')
        wait_until(lambda: call(f"{url}/hooks", token)[1] == {"hooks": []})
    assert taken.faults == []
    assert told["plugin.loaded"]["plugin"] == "echo"
    assert told["session.created"]["id"] == session["id"]
    assert told["tool.executed"]["tool"] == "echo"
    assert told["config.changed"]["changed"] == ["agent.max_turns"]


def test_webhooks_are_looked_after_from_the_command_line(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(environment=LAX)
    daemon.event("ready")
    operator = Operator(daemon)
    assert operator.types("hook", "list") == (0, "No webhooks; `prx hook add URL` registers one.\n", "")
    with receiver() as taken:
        code, shown, _ = operator.types("hook", "add", taken.url, "--event", "session.created")
        assert (code, "whsec_" in shown) == (0, True)
        hook = operator.json("hook", "list")[1]["hooks"][0]
        assert f"{hook['id']}  active  session.created  {taken.url}" in operator.types("hook", "list")[1]
        # The receiver has another secret.
        code, tried = operator.json("hook", "test", hook["id"])
        assert (code, tried["state"], tried["status"]) == (1, "failed", 500)
        code, shown, _ = operator.types("hook", "test", hook["id"])
        assert (code, "the receiver answered 500" in shown) == (1, True)
        code, shown, _ = operator.types("hook", "deliveries", hook["id"], "--limit", "1")
        assert (code, "1 more: --offset 1" in shown, "hook.test" in shown) == (0, True, True)
        assert "the receiver answered 500: not for me" in shown
        assert operator.types("hook", "disable", hook["id"])[0] == 0
        code, _, refused = operator.types("hook", "retry", hook["id"], tried["id"])
        assert (code, "is not active" in refused) == (1, True)
        assert "Status:   active" in operator.types("hook", "enable", hook["id"])[1]
        code, retried = operator.json("hook", "retry", hook["id"], tried["id"])
        assert (code, retried["state"]) == (0, "pending")
        assert operator.types("hook", "rotate", hook["id"], "--at-once")[1].startswith("whsec_")
        assert "URL:" in operator.types("hook", "info", hook["id"])[1]
        assert operator.types("hook", "remove", hook["id"]) == (0, f"Webhook {hook['id']} is removed.\n", "")
        assert operator.types("hook", "info", hook["id"])[0] == 1
        assert json.loads(operator.types("hook", "list", "--json")[1]) == {"hooks": []}
