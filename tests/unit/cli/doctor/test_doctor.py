"""`prx doctor` without a daemon: each fault of an installation is found, explained, and mended where that is safe."""

import shutil
import stat
from pathlib import Path

from click.testing import CliRunner

from prx.cli import prx
from prx.cli.doctor.examination import CHECKS
from tests.unit.cli.doctor.conftest import Examine


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
