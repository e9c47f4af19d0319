"""A daemon whose plugins attack it all at once: others and health answer, unloading and stopping are bounded."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import call
from tests.support.waiting import wait_until

# Each keeps every one of its threads busy until its time is over; those that sleep do it in the host.
_ATTACKERS = ("loop", "log-flood", "stdout-flood", "memory-bomb", "fuel-burner", "sleeper", "deep-recursion")
_THREADS = 2


@pytest.mark.slow
def test_siblings_and_health_answer_during_an_attack_that_unloading_and_stopping_end(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    for name in (*_ATTACKERS, "echo"):
        (plugins / f"{name}.wasm").write_bytes(component(name))
    (tmp_path / "prx.toml").write_text(
        f'[plugins]\ndirectory = "{plugins}"\n[gateway.rate_limits]\nother = 0\n[daemon]\ndrain_secs = 1\n'
        f"[plugins.limits]\nmax_execution_time_ms = 600000\nmax_concurrency = {_THREADS}\n"
        + "".join(f'[plugins.settings.{name}]\ntool_prefix = "{_tool(name, "")}"\n' for name in _ATTACKERS)
    )
    daemon = start_daemon()
    url, token = daemon.event("ready")["url"], daemon.token()

    def status(name: str) -> str | None:
        return call(f"{url}/plugins/{name}", token)[1].get("status")

    def echo(text: str) -> object:
        return call(f"{url}/tools/echo/call", token, {"arguments": {"text": text}})[1].get("output")

    wait_until(lambda: all(status(name) == "loaded" for name in (*_ATTACKERS, "echo")))
    with ThreadPoolExecutor(len(_ATTACKERS) * _THREADS) as pool:
        attacks = [
            pool.submit(_attack, url, token, _tool(name, "run"))
            for name in _ATTACKERS
            for _ in range(_THREADS)
        ]
        for turn in range(50):
            assert echo(f"during {turn}") == f"during {turn}"
            assert call(f"{url}/status/health") == (200, {"healthy": True})
        # Two that are removed, one that is replaced by what behaves: none waits for the calls that run.
        (plugins / "loop.wasm").unlink()
        (plugins / "sleeper.wasm").unlink()
        (plugins / "fuel-burner.wasm").write_bytes(component("adder"))
        wait_until(lambda: status("loop") is None and status("sleeper") is None)
        adds = f"{url}/tools/{_tool('fuel-burner', 'add')}/call"
        wait_until(lambda: call(adds, token, {"arguments": {"a": 1, "b": 2}})[1].get("output") == 3)
        assert echo("after") == "after"
        assert daemon.stop(signal.SIGTERM) == 0
        for attack in attacks:  # nobody is left waiting
            attack.result()


def _tool(plugin: str, function: str) -> str:
    return f"{plugin.replace('-', '_')}_{function}"


def _attack(url: str, token: str, tool: str) -> None:
    with suppress(OSError):  # the daemon went before the answer
        call(f"{url}/tools/{tool}/call", token, {"arguments": {}})
