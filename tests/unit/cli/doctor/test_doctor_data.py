"""What `prx doctor` says of the files in the data directory: who may read them, and what is in them."""

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from prx.api.tokens import TokenStore
from prx.cli.client import TOKEN_NAME
from prx.plugins.secrets import SecretStore
from prx.runtime.migrations import MIGRATIONS
from tests.unit.cli.doctor.conftest import Examine


def test_what_others_may_read_is_closed(examine: Examine, home: Path) -> None:
    data = home / "data"
    TokenStore(data).create("laptop")
    for path, mode in ((data, 0o755), (data / "prx.db", 0o644), (data / "tokens.json", 0o640)):
        path.chmod(mode)
    code, findings = examine()
    assert (code, [finding["action"] for finding in findings["data directory"]]) == (
        1,
        [f"chmod 700 {data}", f"chmod 600 {data / 'prx.db'}", f"chmod 600 {data / 'tokens.json'}"],
    )
    assert "tokens" in findings
    code, findings = examine("--fix")
    assert (code, list(findings)) == (0, ["data directory"])
    assert examine() == (0, {})


def test_a_link_is_not_followed(examine: Examine, home: Path) -> None:
    other = home / "others.json"
    other.write_text("[]")
    other.chmod(0o644)
    (home / "data" / "secrets.key").symlink_to(other)
    examine("--fix")
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


def test_what_belongs_to_another_user_is_told_and_left_alone(examine: Examine, home: Path) -> None:
    if os.geteuid() != 0:  # only root can give files away; everybody can look at root's
        (home / "prx.toml").write_text('[daemon]\ndata_dir = "/usr"\n')
        [finding] = examine("--fix")[1]["data directory"]
        assert (finding["fixable"], "belongs to root" in finding["what"]) == (False, True)
        return
    tokens = home / "data" / "tokens.json"
    TokenStore(home / "data").create("laptop")
    os.chown(tokens, 65534, 65534)
    code, findings = examine("--fix")
    [finding] = findings["data directory"]
    assert (code, finding["fixable"], finding["action"].startswith("chown root ")) == (1, False, True)
    assert tokens.stat().st_uid == 65534


def test_leftovers_of_killed_programs_are_deleted(examine: Examine, home: Path) -> None:
    data = home / "data"
    (data / "tokens.json.tmp").touch(mode=0o600)
    (data / "prx.url").write_text("http://127.0.0.1:1/api/v1")
    code, findings = examine()
    assert (code, len(findings["leftovers"])) == (0, 2)
    assert [finding["fixed"] for finding in examine("--fix")[1]["leftovers"]] == [
        f"deleted {data / 'tokens.json.tmp'}", f"deleted {data / 'prx.url'}",
    ]  # fmt: skip
    assert examine() == (0, {})


def test_expired_tokens_of_killed_commands_are_removed(examine: Examine, home: Path) -> None:
    store = TokenStore(home / "data")
    for name in (TOKEN_NAME, "laptop"):
        store.create(name)
    file = home / "data" / "tokens.json"
    document = json.loads(file.read_text())
    for token in document["tokens"]:
        token["expires"] = "2020-01-01T00:00:00Z"
    file.write_text(json.dumps(document))
    code, findings = examine("--fix")
    assert (code, findings["tokens"][0]["fixed"]) == (0, "removed 1 expired token")
    assert [token.name for token in store.all()] == ["laptop"]


def test_damaged_tokens_and_secrets_are_told(examine: Examine, home: Path) -> None:
    for name in ("tokens.json", "secrets.json"):
        (home / "data" / name).write_text("{")
        (home / "data" / name).chmod(0o600)
    code, findings = examine()
    assert (code, list(findings)) == (1, ["tokens", "secrets"])
    assert "not a tokens file" in findings["tokens"][0]["what"]


def test_a_secret_that_another_key_sealed_is_told(examine: Examine, home: Path) -> None:
    SecretStore(home / "data").set("KEY", "value", ["weather"])
    assert examine() == (0, {})
    (home / "data" / "secrets.key").unlink()
    [finding] = examine()[1]["secrets"]
    assert finding["action"] == "set it again: prx secret set KEY"


@pytest.mark.parametrize(
    ("version", "level", "told"),
    [(len(MIGRATIONS) + 1, "problem", "a newer PRX wrote it"), (1, "advice", "cannot be undone")],
)
def test_a_store_of_another_version_is_told(
    version: int, level: str, told: str, examine: Examine, home: Path
) -> None:
    with closing(sqlite3.connect(home / "data" / "prx.db")) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    code, findings = examine()
    [finding] = findings["store"]
    assert (code, finding["level"]) == (int(level == "problem"), level)
    assert told in finding["why"]


def test_a_store_with_damaged_pages_is_told(examine: Examine, home: Path) -> None:
    path = home / "data" / "prx.db"
    with closing(sqlite3.connect(path)) as connection:
        rows = [("weather", f"key {number:04}", b"x" * 100) for number in range(1000)]
        connection.executemany("INSERT INTO plugin_kv VALUES (?, ?, ?)", rows)
        connection.commit()
    with path.open("r+b") as file:
        file.seek(-4 * 4096, os.SEEK_END)
        file.write(b"\xff" * 4096)
    code, findings = examine()
    assert (code, "damaged" in findings["store"][0]["what"]) == (1, True)


def test_what_is_no_store_is_told(examine: Examine, home: Path) -> None:
    (home / "data" / "prx.db").write_text("this is no database, whatever its name says")
    [finding] = examine()[1]["store"]
    assert "file is not a database" in finding["what"]
