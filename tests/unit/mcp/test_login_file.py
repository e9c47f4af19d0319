"""Logins at rest: encrypted, each for its server and address alone, and changed by whoever came last."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prx.core.errors import NotFoundError, PrxError
from prx.mcp.client.oauth.logins import Client, Endpoints, Login, LoginFile, Tokens, login_command

URL = "https://tickets.example.com/mcp?key=hunter2hunter2"
LOGIN = Login(
    url=URL,
    client=Client("prx", "secret-of-client", "client_secret_basic"),
    endpoints=Endpoints("https://login.example.com", "https://login.example.com/token"),
    tokens=Tokens("secret-access", "secret-refresh", "tickets:read", 1.0, 2.0),
)


@pytest.fixture
def file(tmp_path: Path) -> LoginFile:
    return LoginFile(tmp_path)


def test_a_login_counts_for_its_server_and_address_alone(file: LoginFile) -> None:
    assert file.find("one", URL) is None
    file.put("one", LOGIN)
    file.put("two", replace(LOGIN, url="https://two.example.com"))
    assert file.find("one", URL) == LOGIN
    assert file.find("one", "https://evil.example.com/mcp") is None
    assert file.find("two", URL) is None
    assert file.remove("one") == LOGIN
    assert file.find("one", URL) is None
    with pytest.raises(NotFoundError, match='nobody is logged in at MCP server "one"'):
        file.remove("one")


def test_nothing_of_it_can_be_read_in_the_file_or_seen_in_a_repr(file: LoginFile, tmp_path: Path) -> None:
    file.put("one", LOGIN)
    path = tmp_path / "mcp-logins.json"
    assert path.stat().st_mode & 0o077 == 0
    for text in (path.read_text(), repr(LOGIN)):
        assert "secret-" not in text
        assert "hunter2" not in text


def test_a_login_moved_to_another_server_is_none(file: LoginFile, tmp_path: Path) -> None:
    file.put("one", LOGIN)
    path = tmp_path / "mcp-logins.json"
    path.write_text(path.read_text().replace('"one"', '"two"'))
    with pytest.raises(PrxError, match="log in again with `prx mcp login two`"):
        file.find("two", URL)
    assert file.remove("two") is None, "it is forgotten all the same"
    assert file.find("two", URL) is None


def test_a_renewal_replaces_nothing_but_what_it_renewed(file: LoginFile) -> None:
    renewed = replace(LOGIN, tokens=Tokens("next-access"))
    assert file.renew("one", LOGIN, renewed) is None, "it was logged out"
    file.put("one", LOGIN)
    assert file.renew("one", LOGIN, renewed) == renewed
    another = replace(LOGIN, tokens=Tokens("of another login"))
    file.put("one", another)
    assert file.renew("one", renewed, replace(LOGIN, tokens=Tokens("late"))) == another
    assert file.find("one", URL) == another


@pytest.mark.parametrize("content", ["[]", "{", '{"version": 2}'])
def test_another_file_of_that_name_is_told(file: LoginFile, tmp_path: Path, content: str) -> None:
    path = tmp_path / "mcp-logins.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(PrxError, match="log in again"):
        file.find("one", URL)


_SECONDS = st.none() | st.floats(0, 1e12)
_TOKENS = st.builds(Tokens, st.text(), st.none() | st.text(), st.none() | st.text(), _SECONDS, _SECONDS)


@settings(max_examples=20)
@given(_TOKENS)
def test_whatever_is_stored_is_found_again(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> None:
    file = LoginFile(tmp_path_factory.mktemp("data"))
    login = replace(LOGIN, tokens=tokens)
    file.put("one", login)
    assert file.find("one", URL) == login


def test_a_command_to_copy_runs_nothing_that_a_server_wrote() -> None:
    command = login_command("my server", ["read", "$(reboot)"])
    assert command == "`prx mcp login 'my server' --scope read --scope '$(reboot)'`"
