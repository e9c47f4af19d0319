"""`prx mcp login` and `logout`: where there is nothing to log in to, they say so and ask nobody."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prx.cli import prx
from prx.core.errors import NotFoundError, PrxError

Run = Callable[..., Result]

SERVERS = """
[daemon]
data_dir = "data"
[mcp.servers.program]
command = "true"
[mcp.servers.fixed]
url = "https://fixed.example.com/mcp"
headers = { authorization = "Bearer hunter2hunter2" }
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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("other", "configured are: fixed, machine, named, program"),
        ("program", "there is nothing to log in to"),
        ("fixed", "mcp.servers.fixed has the authorization"),
        ("named", "mcp.servers.named has the authorization"),
        ("machine", "the daemon logs in by itself"),
    ],
)
def test_a_login_that_makes_no_sense_is_refused_and_says_why(run: Run, name: str, reason: str) -> None:
    with pytest.raises(PrxError) as refused:
        run("login", name)
    assert reason in refused.value.message


def test_without_a_login_there_is_nothing_to_forget(run: Run) -> None:
    with pytest.raises(NotFoundError, match='no login at "fixed"'):
        run("logout", "fixed")
