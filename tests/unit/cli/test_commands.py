"""The frame of the command line: every command is found, and refusals are messages."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from prx import __version__
from prx.cli import _COMMANDS, main, prx
from prx.cli.context import chosen_file
from prx.cli.exit_codes import DaemonDownError
from prx.runtime.process import data_dir_lock


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_is_there_and_says_what_it_does(name: str) -> None:
    shown = CliRunner().invoke(prx, [name, "--help"])
    assert shown.exit_code == 0
    command = prx.get_command(click.Context(prx), name)
    assert command is not None
    assert command.get_short_help_str()


def test_help_lists_every_command_and_version_is_the_package_s() -> None:
    assert all(f"  {name} " in CliRunner().invoke(prx, ["--help"]).output for name in _COMMANDS)
    assert CliRunner().invoke(prx, ["--version"]).output == f"prx, version {__version__}\n"


def test_an_unknown_command_is_refused() -> None:
    refused = CliRunner().invoke(prx, ["deamon"])
    assert refused.exit_code == 2
    assert "No such command 'deamon'" in refused.output


def test_a_bad_configuration_is_one_message_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prx.toml"
    file.write_text("[gateway]\nport = -1\n")
    monkeypatch.setattr(sys, "argv", ["prx", "--config", str(file), "auth", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err
        == f"prx: {file}:2: gateway.port: expected integer, at least 0, at most 65535, not -1\n"
    )


def test_a_daemon_that_is_missing_is_one_helpful_message_and_exit_code_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prx.toml"
    file.write_text('[daemon]\ndata_dir = "data"\n')
    for command in (
        ["status"],
        ["tools"],
        ["session", "list"],
        ["plugin", "list"],
        ["plugin", "call", "echo"],
    ):
        monkeypatch.setattr(sys, "argv", ["prx", "--config", str(file), *command])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 5
        assert capsys.readouterr().err == (
            f"prx: no daemon runs with the data directory {tmp_path}/data: start it with `prx daemon`, or name its "
            "configuration with --config\n"
        )


def test_a_daemon_without_a_port_is_told_apart_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRX__DAEMON__DATA_DIR", str(tmp_path))
    with (
        data_dir_lock(tmp_path),
        pytest.raises(DaemonDownError, match=rf"\(pid {os.getpid()}\) .* has no port open"),
    ):
        CliRunner().invoke(prx, ["status"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("typed", "code"), [(["--help"], 0), (["plugin", "list", "--yaml"], 2), (["nothing"], 2)]
)
def test_help_ends_with_0_and_wrong_usage_with_2(
    typed: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["prx", *typed])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    ours, its = os.openpty()
    # Only who has a terminal of its own is interrupted by its Ctrl-C.
    code = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from prx.cli import main; main()"
    command = [sys.executable, "-c", code, "secret", "set", "KEY"]
    environment = os.environ | {"PRX__DAEMON__DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, start_new_session=True, env=environment
    ) as process:
        os.close(its)
        shown = b""
        while b"Value: " not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, b"\x03")
        shown = shown.partition(b"Value: ")[2] + _rest(ours)
    os.close(ours)
    assert (process.returncode, shown.strip()) == (130, b"")


def _rest(terminal: int) -> bytes:
    shown = b""
    with suppress(OSError):  # a terminal that nobody holds any more
        while piece := os.read(terminal, 1024):
            shown += piece
    return shown


def test_a_reader_that_has_gone_is_no_error_to_tell(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "prx", "auth", "list"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        env=os.environ | {"PRX__DAEMON__DATA_DIR": str(tmp_path)},
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_listing_plugins_does_not_load_the_engine() -> None:
    code = "import sys, prx.cli.plugin.info, prx.cli.plugin.listing; print({'wasmtime'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"


def test_config_may_stand_before_or_after_the_command() -> None:
    seen: list[Path | None] = []

    @click.command()
    @click.option("--config", "config_path", type=click.Path(path_type=Path))
    def show(config_path: Path | None) -> None:
        seen.append(chosen_file(config_path))

    for arguments in ([], ["--config", "b.toml"]):
        context = click.Context(prx, obj=Path("a.toml"))
        show.main(arguments, parent=context, standalone_mode=False)
    assert seen == [Path("a.toml"), Path("b.toml")]


def test_help_does_not_load_the_daemon_s_libraries() -> None:
    code = "import sys, prx.cli; print(sorted({'aiohttp', 'pydantic', 'wasmtime', 'structlog'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
