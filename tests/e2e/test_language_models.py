"""The provider of a real daemon: told when it cannot be used, changed while it runs, loaded only where it is needed."""

from pathlib import Path

import pytest

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.waiting import wait_until

KEY = "sk-of-the-environment-that-nobody-sees"


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
