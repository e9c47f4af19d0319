"""The process among others: one holder of a data directory, and files that tell the truth."""

import fcntl
import os
import sys
import threading
from pathlib import Path
from subprocess import run

import pytest

from prx.core.errors import ConfigError, PrxError, UnavailableError
from prx.runtime.process import (
    AddressInUseError,
    AlreadyRunningError,
    ExitCode,
    daemon_pid,
    data_dir_lock,
    exit_code_of,
    pid_file,
)


def test_a_data_directory_has_one_holder_at_a_time(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "data"
    with (
        data_dir_lock(directory),
        pytest.raises(AlreadyRunningError, match=rf"\(pid {os.getpid()}\) uses .*a/data"),
    ):
        data_dir_lock(directory).__enter__()
    with data_dir_lock(directory):
        pass


def test_a_command_that_looks_for_a_daemon_does_not_keep_one_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However late the timer is.
    monkeypatch.setattr("prx.runtime.process._LOCK_WAIT_SECS", 60.0)
    with data_dir_lock(tmp_path):
        assert daemon_pid(tmp_path) == str(os.getpid())
    assert daemon_pid(tmp_path) is None
    with (tmp_path / "prx.lock").open("r+") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with data_dir_lock(tmp_path):
            assert daemon_pid(tmp_path) == str(os.getpid())


def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"daemon\.data_dir: .*file/data cannot be used: Not a directory"):
        data_dir_lock(tmp_path / "file" / "data").__enter__()


def test_a_pid_file_replaces_a_stale_one_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("a stale one, longer than a pid")
    with pid_file(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError, ExitCode.BAD_CONFIGURATION),
        (AlreadyRunningError, ExitCode.ALREADY_RUNNING),
        (AddressInUseError, ExitCode.ADDRESS_IN_USE),
        (UnavailableError, ExitCode.CRASHED),
        (PrxError, ExitCode.CRASHED),
    ],
)
def test_each_refusal_has_its_exit_code(error: type[PrxError], code: ExitCode) -> None:
    assert exit_code_of(error("no")) == code


def test_what_nobody_expected_is_logged_and_ends_the_process_with_1() -> None:
    script = (
        "import sys; from functools import partial; from prx.daemon.process import _crashed; "
        "from prx.runtime.logging import LogOutput; "
        "sys.excepthook = partial(_crashed, LogOutput('info', 'json').close); {}['lost']"
    )
    ended = run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.CRASHED
    assert '"message": "the daemon crashed"' in ended.stderr
    assert "KeyError: 'lost'" in ended.stderr


def test_a_closed_stderr_is_not_given_to_the_next_file() -> None:
    script = (
        "import os; from prx.runtime.process import open_standard_descriptors; "
        "open_standard_descriptors(); print(os.readlink('/proc/self/fd/2'))"
    )
    ended = run(
        ["sh", "-c", f'exec {sys.executable} -c "{script}" 2>&-'], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "/dev/null\n"
