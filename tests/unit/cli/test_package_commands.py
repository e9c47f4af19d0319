"""`prx plugin pack`, `keygen`, `sign`, `verify`: from a directory to a signed package, with exit codes for scripts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prx.cli import prx
from prx.core.errors import PrxError
from tests.components.corpus import component

Run = Callable[..., Result]
MANIFEST = '[plugin]\nname = "weather"\nversion = "1.2.0"\n'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prx.toml").write_text('[daemon]\ndata_dir = "data"\n')
    (tmp_path / "weather").mkdir()
    (tmp_path / "weather" / "plugin.toml").write_text(MANIFEST)
    (tmp_path / "weather" / "plugin.wasm").write_bytes(component("echo"))
    (tmp_path / "weather" / "app.py").touch()

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(prx, ["plugin", *arguments], catch_exceptions=False)

    return invoke


def test_a_directory_becomes_a_signed_package(run: Run, tmp_path: Path) -> None:
    assert run("pack", "weather").stdout.splitlines() == [
        "Made weather-1.2.0.prxplugin of checksums.sha256, plugin.toml, plugin.wasm.",
        "Left out: app.py.",
    ]
    made = run("keygen")
    key = made.stdout.strip()
    assert made.stderr == "The private key is in prx-signing.key.\n"
    said = run("sign", "weather-1.2.0.prxplugin", "--key", "prx-signing.key").stdout
    assert said == (
        f"Signed weather-1.2.0.prxplugin with {key}; the signature is in weather-1.2.0.prxplugin.\n"
    )
    found = run("verify", "weather-1.2.0.prxplugin", "--key", key)
    assert (found.exit_code, found.stdout) == (
        0, f"weather-1.2.0.prxplugin: signed by {key}, which is trusted\n",
    )  # fmt: skip
    assert run("verify", "weather-1.2.0.prxplugin").exit_code == 4
    (tmp_path / "prx.toml").write_text(f'[plugins]\ntrusted_keys = ["{key}"]\n')
    assert run("verify", "weather-1.2.0.prxplugin").exit_code == 0
    assert f"Signed by:\n  {key} (trusted)" in run("validate", "weather-1.2.0.prxplugin").stdout


def test_what_is_not_signed_or_tampered_with_has_its_own_exit_code(run: Run, tmp_path: Path) -> None:
    found = run("verify", "weather")
    assert (found.exit_code, found.stdout) == (3, "weather: not signed\n")
    run("keygen", "--output", "my.key")
    run("sign", "weather", "--key", "my.key")
    assert run("verify", "weather").exit_code == 4
    (tmp_path / "weather" / "plugin.wasm").write_bytes(component("adder"))
    found = run("verify", "weather")
    assert found.exit_code == 1
    assert "its signature does not fit" in found.stderr
    (tmp_path / "weather" / "plugin.toml").unlink()
    assert run("verify", "weather").exit_code == 1


def test_programs_get_json(run: Run) -> None:
    packed = json.loads(run("pack", "weather", "--output", "w.prxplugin", "--json").stdout)
    assert packed == {
        "path": "w.prxplugin",
        "files": ["checksums.sha256", "plugin.toml", "plugin.wasm"],
        "left_out": ["app.py"],
    }
    made = json.loads(run("keygen", "--json").stdout)
    assert made["private_key_file"] == "prx-signing.key"
    unsigned = json.loads(run("verify", "w.prxplugin", "--json").stdout)
    about = {"path": "w.prxplugin", "name": "weather", "version": "1.2.0"}
    assert unsigned == about | {"key": None, "trusted": False}
    run("sign", "w.prxplugin", "--key", "prx-signing.key")
    found = json.loads(run("verify", "w.prxplugin", "--json", "--key", made["public_key"]).stdout)
    assert found == about | {"key": made["public_key"], "trusted": True}
    Path("w.prxplugin").write_bytes(b"damaged")
    damaged = json.loads(run("verify", "w.prxplugin", "--json").stdout)
    assert "damaged" in damaged.pop("error")
    assert damaged == {"path": "w.prxplugin", "key": None, "trusted": False}


def test_a_key_that_is_none_is_told(run: Run) -> None:
    with pytest.raises(PrxError, match=r'--key: this is no public key: one is "ed25519:"'):
        run("verify", "weather", "--key", "me")


def test_what_a_stranger_wrote_into_a_manifest_is_shown_and_not_obeyed_by_the_terminal(
    run: Run, tmp_path: Path
) -> None:
    described = (
        '[[capabilities]]\ntype = "tool"\nname = "echo"\ndescription = "Says\\u001b[2J it\\n  fake\\u202e"\n'
    )
    (tmp_path / "weather" / "plugin.toml").write_text(MANIFEST + described)
    lines = run("validate", "weather").stdout.splitlines()
    assert lines[2:6] == ["Tools:", "  echo", "      Says\\x1b[2J it", "        fake\\u202e"]
    (tmp_path / "weather" / "plugin.toml").write_text(MANIFEST + '"\\u001b[2J" = 1\n')
    for refused in (run("validate", "weather"), run("verify", "weather")):
        assert refused.exit_code == 1
        assert "\x1b" not in refused.stderr
        assert "[2J" in refused.stderr
