"""What `prx doctor` says of plugins and their directory."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from prx.cli.doctor import machine
from tests.components.corpus import component
from tests.support.packages import MANIFEST
from tests.unit.cli.doctor.conftest import Examine


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


def test_used_up_change_notices_are_told(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_watch_once", lambda _: 28)
    [finding] = examine()[1]["change notices"]
    assert "fs.inotify.max_user_watches" in finding["what"]
