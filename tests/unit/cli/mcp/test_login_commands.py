"""`prx mcp login` and `logout`: where there is nothing to log in to, they say so and ask nobody."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prx.cli import prx
from prx.core.errors import NotFoundError, PrxError
from prx.core.private_file import PrivateFile

Run = Callable[..., Result]

SERVERS = """
[daemon]
data_dir = "data"
[mcp.servers.program]
command = "true"
[mcp.servers.fixed]
url = "https://fixed.example.com/mcp"
headers = { authorization = "Bearer hunter2hunter2" }
[mcp.servers.open]
url = "https://open.example.com/mcp"
[mcp.servers.named]
url = "https://user:hunter2hunter2@named.example.com/mcp"
[mcp.servers.machine]
url = "https://machine.example.com/mcp"
[mcp.servers.machine.oauth]
grant = "client_credentials"
client_id = "prx"
client_secret = "hunter2hunter2"
issuer = "https://login.example.com"
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `prx mcp`; what it raises comes through."""
    config = tmp_path / "prx.toml"
    config.write_text(SERVERS)

    def invoke(*arguments: str) -> Result:
        command = ["--config", str(config), "mcp", *arguments]
        return CliRunner().invoke(prx, command, catch_exceptions=False)

    return invoke


@pytest.mark.parametrize("command", ["login", "logout"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("other", 'MCP server "other" not found; configured are: fixed, machine, named, open, program'),
        ("program", 'MCP server "program" is a program: there is no login at one'),
        ("fixed", "mcp.servers.fixed has the authorization"),
        ("named", "mcp.servers.named has the authorization"),
        ("machine", "the daemon logs in by itself"),
    ],
)
def test_what_makes_no_sense_is_refused_and_says_why(run: Run, command: str, name: str, reason: str) -> None:
    with pytest.raises(PrxError) as refused:
        run(command, name)
    assert reason in refused.value.message


def test_without_a_login_there_is_nothing_to_forget(run: Run) -> None:
    with pytest.raises(NotFoundError, match='nobody is logged in at MCP server "open"'):
        run("logout", "open")


def test_a_login_that_cannot_be_read_is_forgotten_also_of_a_server_that_is_configured_no_more(
    run: Run, tmp_path: Path
) -> None:
    file = PrivateFile(tmp_path / "data" / "mcp-logins.json", max_bytes=1024)
    with file.locked():
        file.replace(b'{"logins": [{"server": "gone", "sealed": "x"}]}')
    assert 'Forgot the login at "gone". It could not be read' in run("logout", "gone").output
    with pytest.raises(NotFoundError, match='"gone" not found'):
        run("logout", "gone")
