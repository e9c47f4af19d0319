"""`prx doctor` without a daemon."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prx.cli import prx
from prx.runtime.migrations import migrate

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
