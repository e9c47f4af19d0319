"""Signals while it works: reload, drain, force; and what systemd is told meanwhile."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import WAIT_SECS, DaemonProcess, call


class Call(threading.Thread):
    """A call of the plugin that never returns, made in the background."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__()
        self._url = f"{url}/tools/run/call"
        self._token = token
        self.answer: tuple[int, dict[str, Any]] | None = None

    def run(self) -> None:
        try:
            self.answer = call(self._url, self._token, {"arguments": {}})
        except OSError:
            self.answer = None  # cut off


@contextmanager
def calling(
    start_daemon: StartDaemon, home: Path, **limits: int
) -> Iterator[tuple[DaemonProcess, str, Call]]:
    """Start a daemon whose plugin is being called and does not return by itself."""
    (home / "plugins").mkdir()
    (home / "plugins" / "loop.wasm").write_bytes(component("loop"))
    (home / "prx.toml").write_text(
        "[gateway.rate_limits]\nother = 0\n"
        f"[daemon]\ndrain_secs = {limits['drain_secs']}\n"
        f"[plugins.limits]\nmax_execution_time_ms = {limits['max_execution_time_ms']}\n"
    )
    daemon = start_daemon()
    url = daemon.event("ready")["url"]
    token = daemon.token()
    caller = Call(url, token)
    # It may still compile when the daemon is ready; once called, its memory is in use.
    until(url, token, lambda plugin: plugin.get("status") == "loaded")
    caller.start()
    until(url, token, lambda plugin: plugin["memory_usage_bytes"] > 0)
    try:
        yield daemon, url, caller
    finally:
        daemon.process.kill()
        caller.join(WAIT_SECS)


def until(url: str, token: str, condition: Callable[[dict[str, Any]], bool]) -> None:
    """Ask for the plugin until it is as wanted; the rate limit is off for that."""
    deadline = time.monotonic() + WAIT_SECS
    while not condition(call(f"{url}/plugins/loop", token)[1]):
        assert time.monotonic() < deadline


def test_a_call_in_flight_finishes_while_new_ones_are_refused(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    with calling(start_daemon, tmp_path, drain_secs=60, max_execution_time_ms=8000) as (daemon, url, caller):
        daemon.process.send_signal(signal.SIGTERM)
        daemon.event("stopping")
        assert call(f"{url}/status/health") == (503, {"healthy": False})
        assert call(f"{url}/tools", "any")[0] == 503
        caller.join(WAIT_SECS)
        assert caller.answer is not None
        status, answer = caller.answer
        assert status == 200
        assert answer["error"]["code"] == "timeout"
        assert daemon.ended() == 0


def test_a_call_that_does_not_finish_is_given_up_after_the_drain_time_and_its_caller_told(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    with calling(start_daemon, tmp_path, drain_secs=1, max_execution_time_ms=600_000) as (daemon, _, caller):
        assert daemon.stop() == 0
        caller.join(WAIT_SECS)
        assert caller.answer is not None
        status, answer = caller.answer
        assert (status, answer["error"]["code"]) == (503, "unavailable")
        assert "The daemon stopped before the request was done" in answer["error"]["message"]


def test_a_second_signal_does_not_wait_for_the_drain_and_callers_are_told(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    with calling(start_daemon, tmp_path, drain_secs=3600, max_execution_time_ms=600_000) as (
        daemon,
        _,
        caller,
    ):
        daemon.process.send_signal(signal.SIGTERM)
        daemon.event("stopping")
        assert daemon.stop(signal.SIGTERM) == 0
        assert any("forced to stop" in line for line in daemon.text)
        caller.join(WAIT_SECS)
        assert caller.answer is not None
        assert (caller.answer[0], caller.answer[1]["error"]["code"]) == (503, "unavailable")


def test_a_reload_takes_over_what_is_hot_and_names_what_is_not(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    file = tmp_path / "prx.toml"
    file.write_text("")
    daemon = start_daemon()
    url = daemon.event("ready")["url"]
    token = daemon.token()
    file.write_text(
        '[daemon]\nlog_level = "debug"\n[memory]\ntop_k = 3\n[gateway]\nrequest_timeout_secs = 9\nmax_body_kb = 2\n'
    )
    daemon.process.send_signal(signal.SIGHUP)
    event = daemon.event("configuration changed")
    assert event["changed"] == "gateway.request_timeout_secs, daemon.log_level, memory.top_k"
    assert event["waits_for_restart"] == "gateway.max_body_kb"
    _, status = call(f"{url}/status", token)
    assert status["config"] == {"version": 2, "restart_required": True}
    assert daemon.stop() == 0
    assert any('"level": "debug"' in line for line in daemon.text)


def test_a_bad_reload_keeps_the_old_configuration_and_degrades_until_corrected(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    file = tmp_path / "prx.toml"
    file.write_text("[memory]\ntop_k = 3\n")
    (tmp_path / "plugins").mkdir()
    daemon = start_daemon()
    url = daemon.event("ready")["url"]
    token = daemon.token()
    file.write_text("[memory]\ntop_k = 'many'\n")
    daemon.process.send_signal(signal.SIGHUP)
    assert (
        f"{file}:2: memory.top_k:"
        in daemon.event("the configuration was refused, the old one stays")["reason"]
    )
    _, status = call(f"{url}/status", token)
    assert status["status"] == "degraded"
    assert status["problems"][0]["unit"] == "config.file"
    file.write_text("[memory]\ntop_k = 4\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.event("configuration changed")
    assert call(f"{url}/status", token)[1]["status"] == "healthy"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(WAIT_SECS)
        yield notify


def told(systemd: socket.socket, state: str) -> list[str]:
    """Read what systemd is told up to `state`."""
    heard = [systemd.recv(4096).decode()]
    while not heard[-1].startswith(state):
        heard.append(systemd.recv(4096).decode())
    return heard


def test_systemd_is_told_of_the_start_the_reload_the_stop_and_that_the_loop_runs(
    start_daemon: StartDaemon, tmp_path: Path, systemd: socket.socket
) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    daemon = start_daemon(environment=environment)
    started = told(systemd, "READY=1")
    assert "STATUS=serving 0 plugins at http://127.0.0.1:" in started[-1]
    told(systemd, "WATCHDOG=1")
    told(systemd, "WATCHDOG=1")
    daemon.process.send_signal(signal.SIGHUP)
    assert "\nMONOTONIC_USEC=" in told(systemd, "RELOADING=1")[-1]
    told(systemd, "READY=1")
    assert daemon.stop() == 0
    told(systemd, "STOPPING=1")


def test_a_watchdog_of_another_process_is_not_fed(
    start_daemon: StartDaemon, tmp_path: Path, systemd: socket.socket
) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    daemon = start_daemon(environment=environment)
    daemon.event("ready")
    assert daemon.stop() == 0
    assert not any(state.startswith("WATCHDOG") for state in told(systemd, "STOPPING=1"))
