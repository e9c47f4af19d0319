"""What systemd hears, on a real socket; and that nothing depends on it."""

import socket
from pathlib import Path

import pytest

from prx.runtime.systemd import Systemd


def test_an_abstract_address_is_understood(tmp_path: Path) -> None:
    name = f"prx-test-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"\0{name}")
        Systemd({"NOTIFY_SOCKET": f"@{name}"}).ready("serving")
        assert notify.recv(4096) == b"READY=1\nSTATUS=serving"


def test_without_systemd_nothing_happens(capsys: pytest.CaptureFixture[str]) -> None:
    Systemd({}).stopping()
    assert capsys.readouterr().err == ""


def test_a_socket_that_has_gone_is_a_line_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "absent")}).ready("serving")
    assert "systemd was not told state=READY=1 reason='No such file or directory'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "1000"}, {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": ""}]
)
async def test_a_watchdog_that_nobody_asked_for_is_not_fed(environment: dict[str, str]) -> None:
    await Systemd(environment).feed_watchdog()
