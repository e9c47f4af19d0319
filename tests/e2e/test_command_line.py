"""The command line as a client of a real daemon: it finds it by itself, and scripts can tell what came of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prx import __version__
from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess
from tests.support.packages import MANIFEST
from tests.support.waiting import wait_until


class Operator:
    """Somebody at a shell of the daemon's machine."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon

    def types(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a command; return its exit code and what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "prx", *words],
            cwd=self.daemon.home, env=self.daemon.environment, input=stdin, capture_output=True, check=False, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def json(self, *words: str) -> tuple[int, Any]:
        code, shown, _ = self.types(*words, "--json")
        return code, json.loads(shown)


@pytest.fixture
def operator(start_daemon: StartDaemon, tmp_path: Path) -> Operator:
    """One at a daemon with two plugins that serve and one that lacks a permission."""
    plugins = tmp_path / "plugins"
    (plugins / "weather").mkdir(parents=True)
    (plugins / "echo.wasm").write_bytes(component("echo"))
    (plugins / "fallible.wasm").write_bytes(component("fallible"))
    (plugins / "weather" / "plugin.wasm").write_bytes(component("prx-tool"))
    (plugins / "weather" / "plugin.toml").write_text(
        MANIFEST.format(name="weather", version="1.2.0") + '[permissions]\nrequired = ["memory"]\n'
    )
    daemon = start_daemon(environment={"PRX__PLUGINS__DIRECTORY": str(plugins)})
    daemon.event("ready")
    operator = Operator(daemon)
    wait_until(lambda: " loading " not in operator.types("plugin", "list")[1])
    return operator


def test_plugins_are_listed_looked_at_and_switched(operator: Operator) -> None:
    code, shown, _ = operator.types("plugin", "list")
    assert (code, [line.split()[:3] for line in shown.splitlines()[1:4]]) == (
        0,
        [["echo", "0.0.0", "loaded"], ["fallible", "0.0.0", "loaded"], ["weather", "1.2.0", "error"]],
    )
    assert "weather:  requires" in shown
    code, listed = operator.json("plugin", "list")
    assert [plugin["name"] for plugin in listed["plugins"]] == ["echo", "fallible", "weather"]

    code, shown, _ = operator.types("plugin", "info", "weather")
    assert (code, "Grant all of it with: prx plugin grant weather memory" in shown) == (0, True)
    code, about = operator.json("plugin", "info", "echo")
    assert (code, about["status"], about["permissions"]["denials"], len(about["versions"])) == (
        0,
        "loaded",
        [],
        1,
    )

    assert operator.types("plugin", "disable", "echo") == (0, "echo is disabled.\n", "")
    code, _, refused = operator.types("plugin", "call", "echo", '{"text": "x"}')
    assert (code, 'plugin "echo" is disabled' in refused) == (1, True)
    code, _, refused = operator.types("plugin", "reload", "echo")
    assert (code, "enable it first" in refused) == (1, True)
    assert operator.json("plugin", "enable", "echo") == (
        0, {"name": "echo", "status": "loaded", "version": "0.0.0"},
    )  # fmt: skip
    assert operator.types("plugin", "reload", "echo") == (0, "echo 0.0.0 is loaded.\n", "")
    code, shown, refused = operator.types("plugin", "enable", "weather")
    assert (code, shown, "prx plugin grant weather memory" in refused) == (
        1,
        "weather 1.2.0 is in error.\n",
        True,
    )
    code, _, refused = operator.types("plugin", "info", "nobody")
    assert (code, 'prx: Plugin "nobody" not found' in refused) == (1, True)


def test_tools_are_listed_and_called(operator: Operator) -> None:
    code, shown, _ = operator.types("tools")
    assert (code, shown.splitlines()[0].split()) == (0, ["NAME", "SOURCE", "DESCRIPTION"])
    code, listed = operator.json("tools")
    assert ("echo", "plugin:echo") in {(tool["name"], tool["source"]) for tool in listed["tools"]}

    assert operator.types("plugin", "call", "echo", '{"text": "h\\u00e9\\n"}') == (0, "hé\n\n", "")
    assert operator.types("plugin", "call", "echo", "-", stdin='{"text": "x"}') == (0, "x\n", "")
    code, answer = operator.json("plugin", "call", "echo", '{"text": "x"}')
    assert (code, answer["success"], answer["receipt"]["bytes_out"]) == (0, True, 1)
    code, _, refused = operator.types("plugin", "call", "echo", "{}")
    assert (code, '"text" is a required property' in refused) == (1, True)
    code, _, refused = operator.types("plugin", "call", "echo", "[]")
    assert (code, "not a JSON object" in refused) == (2, True)
    assert operator.types("plugin", "call", "nothing")[0] == 1


def test_status_and_doctor_tell_what_is_wrong_and_scripts_hear_it(operator: Operator) -> None:
    code, shown, _ = operator.types("status")
    assert (code, shown.splitlines()[0]) == (1, f"PRX {__version__} is degraded.")
    assert "Plugins:        2 of 3 loaded" in shown
    code, status = operator.json("status")
    assert (code, [problem["unit"] for problem in status["problems"]]) == (1, ["plugin.weather"])

    code, report = operator.json("doctor")
    [finding] = report["findings"]
    assert (code, report["daemon"]["pid"], finding["check"]) == (
        1,
        str(operator.daemon.process.pid),
        "plugins",
    )
    assert "prx plugin grant weather memory" in finding["what"]

    assert operator.types("plugin", "grant", "weather", "memory")[0] == 0
    assert operator.types("status")[0] == 0
    code, shown, _ = operator.types("doctor")
    assert (code, shown.splitlines()[-1]) == (
        0, f"The daemon runs (pid {operator.daemon.process.pid}). Nothing is wrong.",
    )  # fmt: skip

    (operator.daemon.data_dir / "tokens.json").chmod(0o644)
    code, report = operator.json("doctor")
    assert (code, [finding["check"] for finding in report["findings"]]) == (
        1,
        ["data directory", "tokens", "daemon"],
    )
    assert operator.json("doctor", "--fix")[0] == 0
    assert operator.types("status")[0] == 0

    (operator.daemon.home / "prx.toml").write_text("[gateway]\nprot = 1\n")
    assert operator.types("status")[0] in (0, 1), "the daemon can be asked while the file is wrong"
    code, report = operator.json("doctor")
    assert (code, report["findings"][0]["check"], report["daemon"]["running"]) == (1, "configuration", True)
    (operator.daemon.home / "prx.toml").unlink()

    assert operator.daemon.stop() == 0
    assert operator.types("status")[0] == 5
    assert operator.types("doctor")[0] == 0
