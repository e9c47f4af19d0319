"""Versions of a plugin on a real daemon: a step back, and one that is taken by itself, over restarts."""

import json
import os
import subprocess
import sys

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call


def install(daemon: DaemonProcess, name: str) -> None:
    """Put a component in the place of the plugin `sum`, whose tools are then those of that component."""
    path = daemon.data_dir / "plugins" / "sum.wasm"
    fresh = path.with_name(".sum.new")
    fresh.write_bytes(component(name))
    os.replace(fresh, path)  # noqa: PTH105  # one word for what it is
    daemon.event("plugin loaded")


def prx(daemon: DaemonProcess, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prx", *arguments],
        cwd=daemon.home, env=daemon.environment, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return done.stdout


def tools(url: str, token: str) -> list[str]:
    return [tool["name"] for tool in call(f"{url}/tools", token)[1]["tools"]]


def test_a_step_back_lasts_over_a_restart_until_the_plugin_is_reloaded(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    daemon.event("ready")
    install(daemon, "adder")
    install(daemon, "counter")
    assert prx(daemon, "plugin", "rollback", "sum") == "sum is loaded in generation 1, version 0.0.0.\n"
    assert daemon.stop() == 0

    daemon = start_daemon()
    url, token = daemon.event("ready")["url"], daemon.token()
    assert tools(url, token) == ["add"]
    plugin = call(f"{url}/plugins/sum", token)[1]
    assert (plugin["generation"], plugin["rolled_back"]["from"], plugin["rolled_back"]["to"]) == (1, 2, 1)
    listed = json.loads(prx(daemon, "plugin", "versions", "sum", "--json"))["versions"]
    assert [(row["generation"], row["status"]) for row in listed] == [(2, "rolled_back"), (1, "live")]
    heading, newest, oldest = prx(daemon, "plugin", "versions", "sum").splitlines()
    assert heading.split() == [
        "GENERATION", "VERSION", "STATUS", "LOADED", "DIGEST", "CALLS", "FAILED", "REASON",
    ]  # fmt: skip
    assert newest.split()[:3] == ["2", "0.0.0", "rolled_back"]
    assert newest.endswith("  an operator rolled it back")
    assert (oldest.split()[0], oldest.split()[-2:]) == ("1", ["0", "0"])
    assert prx(daemon, "plugin", "reload", "sum") == "sum 0.0.0 is loaded.\n"
    assert tools(url, token) == ["next"]
    assert daemon.stop() == 0

    daemon = start_daemon()
    assert tools(daemon.event("ready")["url"], daemon.token()) == ["next"]


def test_a_version_that_fails_is_rolled_back_by_itself_and_not_loaded_again_after_kill_9(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon()
    url, token = daemon.event("ready")["url"], daemon.token()
    install(daemon, "adder")
    install(daemon, "trap")
    for _ in range(5):
        status, answer = call(f"{url}/tools/run/call", token, {})
        assert (status, answer["error"]["code"]) == (200, "trap")
    assert daemon.event("plugin rolled back")["goal"] == 1
    daemon.process.kill()

    daemon = start_daemon()
    url = daemon.event("ready")["url"]
    assert tools(url, token) == ["add"]
    [problem] = call(f"{url}/status", token)[1]["problems"]
    assert problem["unit"] == "plugin.sum"
    assert problem["reason"].startswith("generation 2 was rolled back to generation 1: ")
    assert "prx plugin reload sum" in problem["action"]
