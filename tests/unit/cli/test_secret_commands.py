"""`prx secret`: the value comes by standard input or a prompt, and never comes out."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prx.cli import prx
from prx.core.errors import BadRequestError, NotFoundError
from prx.plugins.secrets import SecretStore

VALUE = "hunter2-is-no-secret"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `prx secret` with the data directory of the test; what it raises comes through."""
    config = tmp_path / "prx.toml"
    config.write_text('[daemon]\ndata_dir = "data"\n')

    def invoke(*arguments: str, stdin: str | bytes = "") -> Result:
        command = ["--config", str(config), "secret", *arguments]
        return CliRunner().invoke(prx, command, input=stdin, catch_exceptions=False)

    return invoke


def test_a_secret_is_set_listed_and_removed_and_never_shown(run: Run, tmp_path: Path) -> None:
    assert run("list").output == "No secrets; `prx secret set NAME` stores one.\n"
    outputs = [run("set", "KEY", stdin=f"{VALUE}\n").output]
    outputs.append(run("set", "OTHER", "--plugin", "weather", "--plugin", "news", stdin=VALUE).output)
    assert outputs == [
        'Stored the secret "KEY" for every plugin that names it.\n',
        'Stored the secret "OTHER" for weather, news.\n',
    ]
    store = SecretStore(tmp_path / "data")
    assert store.value("KEY", "any") == store.value("OTHER", "news") == VALUE
    outputs += [run("list").output, run("list", "--json").output]
    assert [line.split()[0] for line in outputs[2].splitlines()] == ["NAME", "KEY", "OTHER"]
    shown = json.loads(outputs[3])["secrets"]
    assert [(row["name"], row["plugins"]) for row in shown] == [("KEY", []), ("OTHER", ["news", "weather"])]
    assert run("remove", "KEY").output == 'Removed the secret "KEY".\n'
    assert [secret.name for secret in store.all()] == ["OTHER"]
    assert VALUE not in "".join(outputs)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\nb", "a\nb"), (" a ", " a "), ("é", "é")],
)
def test_one_final_line_break_is_left_out_and_nothing_else(
    typed: str, stored: str, run: Run, tmp_path: Path
) -> None:
    run("set", "KEY", stdin=typed.encode())
    assert SecretStore(tmp_path / "data").value("KEY", "p") == stored


@pytest.mark.parametrize(
    ("stdin", "why"),
    [(b"", "1 to 65536 bytes"), (b"\n", "1 to 65536"), (b"x" * 70_000, "1 to 65536"), (b"a\xff", "byte 1")],
)
def test_an_unfit_value_is_refused(stdin: bytes, why: str, run: Run) -> None:
    with pytest.raises(BadRequestError, match=why):
        run("set", "KEY", stdin=stdin)


def read_until(terminal: int, mark: bytes) -> bytes:
    """Return what the terminal shows up to `mark`."""
    shown = b""
    while mark not in shown:
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, shown
        shown += os.read(terminal, 1024)
    return shown


def test_on_a_terminal_the_value_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    config = tmp_path / "prx.toml"
    config.write_text('[daemon]\ndata_dir = "data"\n')
    terminal, its_end = os.openpty()
    command = [sys.executable, "-m", "prx", "--config", str(config), "secret", "set", "KEY"]
    # Its own session, so that it has this terminal and not the one that the tests run on.
    process = subprocess.Popen(command, stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True)
    with process:
        os.close(its_end)
        shown = read_until(terminal, b"Value: ")
        os.write(terminal, f"{VALUE}\n".encode())
        shown += read_until(terminal, b"confirmation: ")
        os.write(terminal, f"{VALUE}\n".encode())
        shown += read_until(terminal, b"names it.")
    os.close(terminal)
    assert process.returncode == 0
    assert VALUE.encode() not in shown
    assert SecretStore(tmp_path / "data").value("KEY", "p") == VALUE


def test_no_argument_takes_the_value(run: Run) -> None:
    assert "unexpected extra argument" in run("set", "KEY", VALUE).output


def test_removing_what_is_not_there_is_an_error(run: Run) -> None:
    with pytest.raises(NotFoundError, match="prx secret list"):
        run("remove", "KEY")
