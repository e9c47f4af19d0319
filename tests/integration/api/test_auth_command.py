"""`prx auth` beside a running API, and without one."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prx.api.scopes import ROLES
from prx.api.tokens import TokenStore
from prx.cli import prx
from prx.core.errors import PrxError
from tests.integration.api.api_harness import Api

Auth = Callable[..., Result]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Point at the data directory that the `api` fixture serves from."""
    config_file = tmp_path / "prx.toml"
    config_file.write_text(f'[daemon]\ndata_dir = "{tmp_path}"\n')
    return config_file


@pytest.fixture
def auth(config_file: Path) -> Auth:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(prx, ["--config", str(config_file), "auth", *arguments])

    return run


def test_a_process_prints_a_token_and_nothing_else(config_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prx", "--config", str(config_file), "auth", "token"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    [line] = done.stdout.splitlines()
    assert done.stderr == ""
    found = TokenStore(tmp_path).authenticate(line)
    assert found is not None
    assert (found.role, found.granted) == ("admin", ROLES["admin"])


async def test_a_new_token_works_at_once_and_a_revoked_one_no_more(api: Api, auth: Auth) -> None:
    secret = auth("token", "--name", "laptop").stdout.strip()
    assert (await api.get("/api/v1/status", token=secret)).status == 200
    [token_id] = [row["id"] for row in listed(auth) if row["name"] == "laptop"]
    revoked = auth("revoke", token_id)
    assert (revoked.exit_code, revoked.stdout) == (0, f'Revoked {token_id} "laptop".\n')
    assert (await api.get("/api/v1/status", token=secret)).status == 401


async def test_role_and_scopes_hold_at_the_api(api: Api, auth: Auth) -> None:
    viewer = auth("token", "--role", "viewer").stdout.strip()
    narrow = auth("token", "--scope", "tools:read", "--scope", "tools:write").stdout.strip()
    assert (await api.get("/api/v1/plugins", token=viewer)).status == 200
    assert (await api.post("/api/v1/plugins/any/disable", token=viewer)).status == 403
    assert (await api.get("/api/v1/tools", token=narrow)).status == 200
    assert (await api.get("/api/v1/plugins", token=narrow)).status == 403


async def test_the_list_tells_when_a_token_was_last_used(api: Api, auth: Auth) -> None:
    await api.get("/api/v1/status")
    await api.tokens.aclose()
    [row] = listed(auth)
    assert datetime.fromisoformat(row["last_used"]) >= datetime.fromisoformat(row["created"])


def test_the_list_for_programs_has_every_field(auth: Auth) -> None:
    auth("token", "--name", "a", "--expires", "30d")
    auth("token", "--name", "b", "--role", "operator", "--scope", "status:read")
    first, second = listed(auth)
    assert list(first) == ["id", "name", "role", "scopes", "created", "last_used", "expires"]
    assert (first["role"], first["scopes"], first["last_used"]) == ("admin", ["*"], None)
    lasts = datetime.fromisoformat(first["expires"]) - datetime.fromisoformat(first["created"])
    assert lasts == timedelta(days=30)
    assert (second["role"], second["scopes"], second["expires"]) == ("operator", ["status:read"], None)


def test_the_list_for_people_is_a_table(auth: Auth) -> None:
    assert "prx auth token" in auth("list").stdout
    auth("token", "--name", "build server", "--scope", "tools:write")
    heading, row = auth("list").stdout.splitlines()
    assert heading.split("  ")[0] == "ID"
    for shown in ("tok_", "build server", "admin", "tools:write", "never"):
        assert shown in row


@pytest.mark.parametrize("spelled", ["30", "d", "0d", "-1d", "1.5d", "30 d", "1y", "999999d", ""])
def test_a_duration_that_is_none_is_a_usage_error(auth: Auth, spelled: str, tmp_path: Path) -> None:
    result = auth("token", "--expires", spelled)
    assert result.exit_code == 2
    assert "30d" in result.stderr
    assert TokenStore(tmp_path).all() == []


@pytest.mark.parametrize(
    ("spelled", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43200), ("30d", 2592000), ("4w", 2419200)]
)
def test_each_unit_of_time_counts_as_it_says(auth: Auth, spelled: str, seconds: int, tmp_path: Path) -> None:
    auth("token", "--expires", spelled)
    [token] = TokenStore(tmp_path).all()
    assert token.expires == token.created + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["token", "--scope", "tools:execute"], 'unknown scope "tools:execute"'),
        (["token", "--role", "viewer", "--scope", "tools:write"], "beyond the role viewer"),
        (["token", "--name", ""], "printable"),
        (["revoke", "tok_unknown"], 'Token "tok_unknown" not found'),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    auth: Auth, arguments: list[str], message: str, tmp_path: Path
) -> None:
    error = auth(*arguments).exception
    assert isinstance(error, PrxError)
    assert message in error.message
    assert TokenStore(tmp_path).all() == []


def test_an_unknown_role_is_a_usage_error(auth: Auth) -> None:
    result = auth("token", "--role", "root")
    assert result.exit_code == 2
    assert "viewer" in result.stderr


def listed(auth: Auth) -> list[dict]:
    return json.loads(auth("list", "--json").stdout)["tokens"]
