"""The frame of the command line: every command is found, and refusals are messages."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from prx import __version__
from prx.cli import _COMMANDS, main, prx
from prx.cli.context import chosen_file


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
