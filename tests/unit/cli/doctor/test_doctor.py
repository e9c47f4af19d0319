"""`prx doctor` without a daemon: each fault of an installation is found, explained, and mended where that is safe."""

import json
import os
import shutil
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prx.api.tokens import TokenStore
from prx.cli import prx
from prx.cli.client import TOKEN_NAME
from prx.cli.doctor import machine
from prx.cli.doctor.examination import CHECKS
from prx.plugins.secrets import SecretStore
from prx.runtime.migrations import MIGRATIONS, migrate
from tests.components.corpus import component
from tests.support.packages import MANIFEST

Findings = dict[str, list[dict[str, Any]]]
Examine = Callable[..., tuple[int, Findings]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation with nothing to find."""
    (tmp_path / "prx.toml").write_text('[daemon]\ndata_dir = "data"\n[gateway]\nport = 0\n')
    (tmp_path / "prx.toml").chmod(0o600)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "data").mkdir(mode=0o700)
    with closing(sqlite3.connect(tmp_path / "data" / "prx.db", isolation_level=None)) as connection:
        migrate(connection, tmp_path)
    (tmp_path / "data" / "prx.db").chmod(0o600)
    return tmp_path


@pytest.fixture
def examine(home: Path) -> Examine:
    """Run `prx doctor --json`; return its exit code and the findings of each check."""

    def run(*options: str, more: str = "") -> tuple[int, Findings]:
        with (home / "prx.toml").open("a") as file:
            file.write(more)
        command = ["--config", str(home / "prx.toml"), "doctor", "--json", *options]
        done = CliRunner().invoke(prx, command, catch_exceptions=False)
        report = json.loads(done.stdout)
        assert report["healthy"] is (done.exit_code == 0)
        findings: Findings = {}
        for finding in report["findings"]:
            findings.setdefault(finding["check"], []).append(finding)
        return done.exit_code, findings

    return run


def test_an_installation_without_a_fault_has_no_findings(examine: Examine, home: Path) -> None:
    before = sorted((home / "data").iterdir())
    assert examine() == (0, {})
    assert sorted((home / "data").iterdir()) == before


def test_of_a_bad_configuration_the_files_are_checked_all_the_same(examine: Examine, home: Path) -> None:
    (home / "data").chmod(0o755)
    code, findings = examine(more='host = "8.8.8.8"\nprot = 1\n')
    assert (code, list(findings)) == (1, ["configuration", "data directory"])
    assert 'gateway.prot: unknown key; did you mean "gateway.port"?' in findings["configuration"][0]["what"]
    shown = CliRunner().invoke(prx, ["--config", str(home / "prx.toml"), "doctor"]).stdout
    assert (
        "Not checked while the configuration is wrong: port, certificate, plugins directory, plugins" in shown
    )


def test_of_a_configuration_that_is_no_toml_the_data_directory_is_looked_into_all_the_same(
    examine: Examine, home: Path
) -> None:
    code, findings = examine(more="port =\n")
    assert (code, list(findings)) == (1, ["configuration"])
    shown = CliRunner().invoke(prx, ["--config", str(home / "prx.toml"), "doctor"]).stdout
    assert "Not checked while the configuration is wrong: port, certificate, plugins directory" in shown
    (home / "prx.toml").unlink()
    shown = CliRunner().invoke(prx, ["--config", str(home / "prx.toml"), "doctor"]).stdout
    assert f"Not checked while the configuration is wrong: {', '.join(CHECKS[1:])}" in shown


def test_configuration_files_for_everybody_are_told(examine: Examine, home: Path) -> None:
    file = home / "prx.toml"
    file.chmod(0o666)
    code, findings = examine(more='[provider]\napi_key = "hunter2"\n')
    assert (code, findings["configuration files"][0]["action"]) == (1, f"chmod o-w {file}")
    file.chmod(0o644)
    code, findings = examine()
    [finding] = findings["configuration files"]
    assert (code, finding["level"], "api_key is a secret in it" in finding["what"]) == (0, "advice", True)
    assert "hunter2" not in str(findings)
    file.chmod(0o640)
    assert examine() == (0, {})


def test_missing_directories_are_made(examine: Examine, home: Path) -> None:
    shutil.rmtree(home / "data")
    (home / "plugins").rmdir()
    code, findings = examine()
    assert code == 1
    assert [finding["level"] for finding in findings["data directory"]] == ["advice"]
    assert [finding["level"] for finding in findings["plugins directory"]] == ["problem"]
    code, findings = examine("--fix")
    assert code == 0
    assert findings["plugins directory"][0]["fixed"] == f"made {home / 'plugins'}, for you alone"
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
    assert examine() == (0, {})


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


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_another_program_has_is_told_with_its_name(
    examine: Examine, home: Path, taken_port: int
) -> None:
    (home / "prx.toml").write_text(f'[daemon]\ndata_dir = "data"\n[gateway]\nport = {taken_port}\n')
    code, findings = examine()
    [finding] = findings["port"]
    assert code == 1
    assert f"(pid {os.getpid()}) listens on 127.0.0.1:{taken_port}" in finding["what"]


def test_an_address_of_another_machine_is_told(examine: Examine, home: Path) -> None:
    (home / "prx.toml").write_text(
        '[daemon]\ndata_dir = "data"\n[gateway]\nhost = "192.0.2.1"\nallow_public_bind = true\n'
    )
    assert "Cannot assign requested address" in examine()[1]["port"][0]["what"]


def test_plugins_that_would_not_load_are_told_with_the_remedy(examine: Examine, home: Path) -> None:
    plugins = home / "plugins"
    (plugins / "bad.wasm").write_text("oops")
    (plugins / "good.wasm").write_bytes(component("echo"))
    for directory, name in (("weather", "weather"), ("copy", "good")):
        (plugins / directory).mkdir()
        (plugins / directory / "plugin.wasm").write_bytes(component("prx-tool"))
        (plugins / directory / "plugin.toml").write_text(
            MANIFEST.format(name=name, version="1.0.0")
            + '[permissions]\nrequired = ["memory"]\n[config]\nkey = "secret:KEY"\n'
        )
    code, findings = examine(more="[plugins.settings.wether]\n")
    told = {finding["what"]: finding["action"] for finding in findings["plugins"]}
    assert code == 1
    assert told == {
        'the plugin "bad": bad.wasm is not WebAssembly: expected a WebAssembly component (docs/plugins.md)':
            "mend or replace the file: `prx plugin validate` tells more",
        f'two plugins are named "good": {plugins}/copy and {plugins}/good.wasm': "remove or rename one",
        'the plugin "weather" requires "memory", which is not granted':
            "start the daemon, then: prx plugin grant weather memory",
        'plugins.settings.wether is set, and there is no plugin "wether"': "correct the name, or remove the table",
    }  # fmt: skip
    assert "prx secret set KEY" in {finding["action"] for finding in findings["secrets of plugins"]}


def test_what_the_store_says_of_plugins_counts(examine: Examine, home: Path) -> None:
    (home / "plugins" / "weather").mkdir()
    (home / "plugins" / "weather" / "plugin.wasm").write_bytes(component("prx-tool"))
    (home / "plugins" / "weather" / "plugin.toml").write_text(
        MANIFEST.format(name="weather", version="1.0.0") + '[permissions]\nrequired = ["memory"]\n'
    )
    (home / "plugins" / "bad.wasm").write_text("oops")
    with closing(sqlite3.connect(home / "data" / "prx.db")) as connection:
        connection.execute("INSERT INTO plugin_grants VALUES ('weather', 'memory', 1, NULL)")
        connection.execute("INSERT INTO plugin_state VALUES ('bad', 1)")
        connection.commit()
        assert examine() == (0, {})
        connection.execute("INSERT INTO plugin_quarantine VALUES ('weather', 'timed out', 'x', '2030', 1)")
        connection.execute(
            "INSERT INTO plugin_denials VALUES ('weather', 'env', 'env HOME', 2, 'x', '9999', 'prx plugin grant x')"
        )
        connection.commit()
    code, findings = examine()
    assert code == 1
    [quarantined] = findings["plugins"]
    assert quarantined["what"] == 'the plugin "weather" is in quarantine until 2030: timed out'
    [refused] = findings["refused permissions"]
    assert (refused["what"], refused["action"], refused["level"]) == (
        'the plugin "weather" was refused env HOME 2 times', "prx plugin grant x", "advice",
    )  # fmt: skip


def test_unsigned_plugins_are_told_where_signatures_are_required(examine: Examine, home: Path) -> None:
    (home / "plugins" / "good.wasm").write_bytes(component("echo"))
    [finding] = examine(more="[plugins]\nrequire_signature = true\n")[1]["plugins"]
    assert "it is not signed" in finding["what"]


def test_a_plugins_directory_for_everybody_is_told(examine: Examine, home: Path) -> None:
    (home / "plugins").chmod(0o777)
    [finding] = examine("--fix")[1]["plugins directory"]
    assert (finding["action"], finding["fixable"]) == (f"chmod o-w {home / 'plugins'}", False)


def test_connections_that_cannot_be_made_are_told_without_their_secrets(examine: Examine, home: Path) -> None:
    (home / "server").write_text("#!/bin/sh\n")
    (home / "server").chmod(0o700)
    code, findings = examine(
        more=f"""
[mcp.servers.missing]
command = "no-such-program"
[mcp.servers.here]
command = "./server"
cwd = "{home}"
[mcp.servers.path]
command = "server"
env = {{ PATH = "{home}" }}
[mcp.servers.off]
command = "no-such-program"
enabled = false
[mcp.servers.web]
url = "htp://user:hunter2@host"
[channels_config.pigeon]
bot_token = "hunter2"
[channels_config.open]
dm_policy = "open"
[channels_config.off]
enabled = false
[[hooks.endpoints]]
url = "https://example.com"
[[hooks.endpoints]]
url = "https://example.com"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""
    )
    assert code == 1
    assert [finding["what"] for check in ("MCP servers", "channels", "webhooks") for finding in findings[check]] == [
        "mcp.servers.missing.command: the program no-such-program is not on the PATH",
        "mcp.servers.web.url: neither http nor https",
        'channels_config.pigeon: this PRX has no adapter for channels of the type "pigeon"',
        "channels_config.pigeon: nobody may talk to it",
        'channels_config.open: this PRX has no adapter for channels of the type "open"',
        "hooks.endpoints.0: it has no secret",
    ]  # fmt: skip
    assert "hunter2" not in str(findings)


def test_language_models_that_cannot_be_asked_are_found(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        code, findings = examine(
            more=f"""
[provider]
name = "anthropic"
model = "m"
fallback = ["there/m", "ollama", "wrong/m", "gone/m", "parrot"]
[provider.others.there]
base_url = "http://127.0.0.1:{server.getsockname()[1]}/v1"
[provider.others.wrong]
base_url = "https://user:hunter2@[::1"
[provider.others.gone]
base_url = "http://user:hunter2@127.0.0.1:9/v1"
"""
        )
    found = findings["language models"]
    assert code == 1
    assert [(finding["level"], finding["what"].partition(":")[0]) for finding in found] == [
        ("problem", 'provider "anthropic" needs a key'),
        ("problem", 'provider "ollama" needs a model'),
        ("problem", "provider.others.wrong.base_url is no address"),
        ("problem", 'the server of provider "gone" at 127.0.0.1'),
        ("advice", 'there is no provider "parrot"'),
    ]
    assert "hunter2" not in str(findings)


def test_used_up_change_notices_are_told(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_watch_once", lambda _: 28)
    [finding] = examine()[1]["change notices"]
    assert "fs.inotify.max_user_watches" in finding["what"]
