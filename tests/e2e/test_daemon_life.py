"""The process from outside: flags, exit codes, lock, pid file, what an operator reads."""

import shlex
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import call


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_with_0(start_daemon: StartDaemon, number: signal.Signals) -> None:
    daemon = start_daemon()
    url = daemon.event("ready")["url"]
    assert call(f"{url}/status/health") == (200, {"healthy": True})
    assert daemon.stop(number) == 0
    assert "stopped" in daemon.text[-1]


def test_a_signal_during_the_boot_ends_it_with_0_too(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    daemon.event("listening")
    assert daemon.stop() == 0


def test_the_log_tells_where_it_listens_and_how_to_get_a_token(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    ready = daemon.event("ready")
    assert ready["module"] == "daemon"
    assert ready["url"].startswith("http://127.0.0.1:")
    made = subprocess.run(
        shlex.split(ready["token_command"]),
        cwd=daemon.home, env=daemon.environment, capture_output=True, check=True, text=True,
    )  # fmt: skip
    status, answer = call(f"{ready['url']}/status", made.stdout.strip())
    assert status == 200
    assert (answer["status"], answer["problems"]) == ("healthy", [])


def test_its_files_are_private_and_its_own_plugins_directory_is_made(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    daemon.event("ready")
    for path, mode in (
        (daemon.data_dir, 0o700),
        (daemon.data_dir / "plugins", 0o700),
        (daemon.data_dir / "prx.db", 0o600),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


def test_the_pid_file_holds_the_pid_while_it_runs(start_daemon: StartDaemon, tmp_path: Path) -> None:
    file = tmp_path / "prx.pid"
    daemon = start_daemon("--pid-file", "prx.pid")
    daemon.event("ready")
    assert int(file.read_text()) == daemon.process.pid
    assert daemon.stop() == 0
    assert not file.exists()


def test_a_pid_file_that_cannot_be_written_ends_it_with_2(start_daemon: StartDaemon) -> None:
    daemon = start_daemon("--pid-file", "absent/prx.pid")
    assert daemon.ended() == 2
    assert "--pid-file:" in daemon.text[-1]


def test_a_second_daemon_on_the_same_data_says_who_holds_it_and_ends_with_3(
    start_daemon: StartDaemon,
) -> None:
    first = start_daemon()
    url = first.event("ready")["url"]
    second = start_daemon()
    assert second.ended() == 3
    assert f"(pid {first.process.pid})" in second.text[-1]
    assert call(f"{url}/status/health")[0] == 200


def test_after_kill_9_the_next_one_starts(start_daemon: StartDaemon) -> None:
    first = start_daemon()
    first.event("ready")
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert start_daemon().event("ready")["plugins"] == 0


def test_a_bad_configuration_is_one_readable_message_and_exit_code_2(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    (tmp_path / "prx.toml").write_text("[gateway]\nprot = 1\n")
    daemon = start_daemon()
    assert daemon.ended() == 2
    assert daemon.text == [
        f'prx: {tmp_path}/prx.toml:2: gateway.prot: unknown key; did you mean "gateway.port"?\n'
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "--port: gateway.port: expected integer, at least 0, at most 65535"),
        (["--host", "0.0.0.0"], "allow_public_bind"),  # noqa: S104  # what must be refused
        (["--host", "203.0.113.7"], "allow_public_bind"),
        (["--config", "absent.toml"], "there is no file"),
        (["--log-level", "loud"], "Invalid value for '--log-level'"),
        (["--no-such-flag"], "No such option"),
    ],
)
def test_wrong_flags_end_it_with_2(start_daemon: StartDaemon, arguments: list[str], said: str) -> None:
    daemon = start_daemon(*arguments)
    assert daemon.ended() == 2
    assert said in "".join(daemon.text)


def test_an_address_that_is_not_this_machines_ends_it_with_2(start_daemon: StartDaemon) -> None:
    daemon = start_daemon("--host", "203.0.113.7", environment={"PRX__GATEWAY__ALLOW_PUBLIC_BIND": "true"})
    assert daemon.ended() == 2
    assert "cannot listen on 203.0.113.7:0" in daemon.text[-1]


def test_an_address_in_use_ends_it_with_4(start_daemon: StartDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = start_daemon("--port", str(port))
        assert daemon.ended() == 4
        assert f"cannot listen on 127.0.0.1:{port}" in daemon.text[-1]


def test_a_store_that_is_damaged_ends_it_with_1_and_says_what_to_do(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    data = tmp_path / "data" / "prx"
    data.mkdir(parents=True)
    (data / "prx.db").write_bytes(b"no database" * 1000)
    daemon = start_daemon()
    assert daemon.ended() == 1
    assert "restore the file from a backup" in daemon.text[-1]


def test_a_certificate_that_cannot_be_read_ends_it_with_2(start_daemon: StartDaemon) -> None:
    environment = {"PRX__GATEWAY__TLS_CERT": "absent.pem", "PRX__GATEWAY__TLS_KEY": "absent.key"}
    daemon = start_daemon(environment=environment)
    assert daemon.ended() == 2
    assert "gateway.tls_cert, gateway.tls_key: cannot use" in daemon.text[-1]


def test_without_the_gateway_no_port_is_open(start_daemon: StartDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = start_daemon(
            "--no-gateway", "--no-channels", "--no-cron", "--port", str(taken.getsockname()[1])
        )
        assert daemon.event("ready")["url"] is None
        assert daemon.stop() == 0


def test_a_plugins_directory_that_is_missing_degrades_and_does_not_end_it(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(environment={"PRX__PLUGINS__DIRECTORY": "absent"})
    url = daemon.event("ready")["url"]
    _, status = call(f"{url}/status", daemon.token())
    assert status["status"] == "degraded"
    assert "absent" in status["problems"][0]["reason"]


def test_the_daemon_command_does_not_load_the_others() -> None:
    code = "import sys, prx.cli.daemon; print(*sorted(m for m in sys.modules if m.startswith('prx.cli.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "prx.cli.context prx.cli.daemon prx.cli.exit_codes prx.cli.lazy\n"
