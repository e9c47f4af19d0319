"""Disks that are full, files that are damaged, missing, old or read-only: told clearly, and nothing kept is lost."""

import gzip
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.e2e.disks import WITHOUT_CHANGE_NOTICES, Mounts, fill, mounts, small_disk
from tests.support.waiting import wait_until

_MANIFEST = """
[plugin]
name = "remember"
version = "1.0.0"
[permissions]
required = ["kv"]
"""
_STORES = Path(__file__).parent / "stores"


class Rememberer:
    """A daemon with a plugin that keeps its arguments in kv and returns those of the call before."""

    def __init__(self, daemon: DaemonProcess, *, token: str | None = None) -> None:
        self.url = daemon.event("ready")["url"]
        self.daemon = daemon
        self.token = token or daemon.token()

    def remember(self, text: str) -> dict[str, Any]:
        """Keep `text`; the answer's output is what was kept before."""
        return self.post("/tools/remember/call", {"arguments": {"text": text}})

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return call(f"{self.url}{path}", self.token, body or {})[1]

    def get(self, path: str) -> dict[str, Any]:
        return call(f"{self.url}{path}", self.token)[1]

    def problems(self) -> dict[str, str]:
        """Return the reason and the action of each problem, by unit."""
        found = self.get("/status")["problems"]
        return {problem["unit"]: f"{problem['reason']}: {problem['action']}" for problem in found}

    def until_loaded(self, name: str = "remember") -> None:
        wait_until(lambda: self.get(f"/plugins/{name}").get("status") == "loaded")


def kept(text: str) -> str:
    return f'{{"text":"{text}"}}'


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A plugins directory outside the data directory, with the plugin that remembers."""
    directory = tmp_path / "plugins"
    (directory / "remember").mkdir(parents=True)
    (directory / "remember" / "plugin.toml").write_text(_MANIFEST)
    (directory / "remember" / "plugin.wasm").write_bytes(component("prx-tool"))
    return directory


@pytest.fixture
def start(plugins: Path, start_daemon: StartDaemon) -> StartDaemon:
    """Start daemons with that directory; the cache, once filled, outlives them."""

    def started(environment: dict[str, str] | None = None, **options: Any) -> DaemonProcess:
        return start_daemon(
            environment={"PRX__PLUGINS__DIRECTORY": str(plugins), **(environment or {})}, **options
        )

    return started


def _in_namespace(made: Mounts, daemon: DaemonProcess) -> str:
    """Make a token where the daemon sees its data directory."""
    command = [*made.launcher(daemon.home), sys.executable, "-m", "prx", "auth", "token"]
    done = subprocess.run(command, env=daemon.environment, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_a_full_disk_refuses_writes_loses_nothing_and_heals_when_there_is_room(
    start: StartDaemon, tmp_path: Path, plugins: Path
) -> None:
    data = tmp_path / "data" / "prx"
    data.mkdir(parents=True)
    with small_disk(data, "6m") as disk:
        daemon = start(launcher=disk.launcher(tmp_path))
        prx = Rememberer(daemon, token="none yet")  # noqa: S106  # made below
        token = prx.token = _in_namespace(disk, daemon)
        prx.until_loaded()
        assert prx.remember("one")["success"]

        filler = fill(disk.inside(data))
        acknowledged = "one"
        for size in (1000, 10_000, 100_000):  # the log that is there has room for some
            answer = prx.remember("x" * size)
            assert answer["output"] == kept(acknowledged)
            acknowledged = "x" * size if answer["success"] else acknowledged
        assert answer["error"] == {
            "code": "tool_error",
            "message": "the store failed: database or disk is full; free some disk space",
        }
        assert prx.problems()["store.sqlite"].endswith("disk is full: free some disk space")
        (plugins / "echo.wasm").write_bytes(component("echo"))
        wait_until(lambda: prx.get("/plugins/echo").get("status") == "error")
        assert "No space left on device; free some disk space" in prx.get("/plugins/echo")["error"]
        assert prx.post("/plugins/remember/disable")["error"]["code"] == "unavailable"
        assert call(f"{prx.url}/status/health")[0] == 200

        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        daemon = start(launcher=disk.launcher(tmp_path))
        prx = Rememberer(daemon, token=token)
        prx.until_loaded()
        answer = prx.remember("y" * 100_000)
        assert (answer["output"], answer["success"]) == (kept(acknowledged), False)

        filler.unlink()
        assert prx.remember("two")["output"] == kept(acknowledged)
        assert prx.post("/plugins/echo/reload")["status"] == "loaded"
        wait_until(lambda: prx.problems() == {})  # the log's files have room again with its next lines
        assert daemon.stop() == 0


def test_a_disk_without_any_room_ends_the_first_start_with_what_to_do(
    start: StartDaemon, tmp_path: Path
) -> None:
    data = tmp_path / "data" / "prx"
    data.mkdir(parents=True)
    with small_disk(data, "64k") as disk:
        fill(disk.inside(data))
        daemon = start(launcher=disk.launcher(tmp_path))
        assert daemon.ended() in (1, 2)
    assert "disk is full; free some disk space" in daemon.text[-1] or "No space left" in daemon.text[-1]
    assert "Traceback" not in "".join(daemon.text)


def test_a_read_only_store_is_named_with_what_to_do(start: StartDaemon, tmp_path: Path) -> None:
    daemon = start()
    daemon.event("ready")
    daemon.stop()
    store = daemon.data_dir / "prx.db"
    with mounts('mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"', store) as made:
        daemon = start(launcher=made.launcher(tmp_path))
        assert daemon.ended() == 1
    assert f"cannot open the store {store}: [Errno 30] Read-only file system" in daemon.text[-1]


def test_a_read_only_data_directory_ends_it_with_2_and_says_what_to_do(
    start: StartDaemon, tmp_path: Path
) -> None:
    data = tmp_path / "data" / "prx"
    data.mkdir(parents=True)
    with mounts('mount -t tmpfs -o ro none "$1"', data) as made:
        daemon = start(launcher=made.launcher(tmp_path))
        assert daemon.ended() == 2
    assert f"{data} cannot be used: Read-only file system; make it writable for this user" in daemon.text[-1]


def _damage(store: Path, table: str) -> None:
    """Overwrite the first page of `table`."""
    with closing(sqlite3.connect(store)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (table,)).fetchone()
    with store.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


@pytest.mark.parametrize("table", ["plugin_kv", "plugin_grants"])
def test_a_damaged_page_is_a_lasting_problem_that_says_what_to_do(start: StartDaemon, table: str) -> None:
    daemon = start()
    prx = Rememberer(daemon)
    prx.until_loaded()
    assert prx.remember("one")["success"]
    daemon.stop()
    _damage(daemon.data_dir / "prx.db", table)
    prx = Rememberer(start(), token=prx.token)
    if table == "plugin_kv":
        error = prx.remember("two")["error"]
        assert error["code"] == "host_error"
        assert "stop the daemon, then restore the file from a backup" in error["message"]
    assert "malformed: stop the daemon, then restore the file" in prx.problems()["store.sqlite"]
    assert call(f"{prx.url}/status/health")[0] == 200


@pytest.mark.parametrize("name", sorted(path.name for path in _STORES.iterdir()))
def test_a_store_of_an_older_version_is_brought_up_to_date_with_all_that_is_in_it(
    start: StartDaemon, tmp_path: Path, plugins: Path, name: str
) -> None:
    data = tmp_path / "data" / "prx"
    data.mkdir(parents=True)
    (data / "prx.db").write_bytes(gzip.decompress((_STORES / name).read_bytes()))
    (plugins / "echo.wasm").write_bytes(component("echo"))
    daemon = start()
    prx = Rememberer(daemon)
    prx.until_loaded()
    assert prx.remember("two")["output"] == kept("kept by schema 1")
    assert prx.get("/plugins/echo")["status"] == "disabled"
    assert prx.get("/plugins/remember/grants")["decisions"] == {"kv": True, "memory": True}
    assert prx.get("/status")["memory"]["entries"] == 1
    prx.post("/plugins/echo/enable")
    wait_until(lambda: "until 2099-01-01" in (prx.get("/plugins/echo").get("error") or ""))
    assert daemon.stop() == 0


def test_a_store_of_a_newer_version_is_refused_and_says_what_to_do(start: StartDaemon) -> None:
    daemon = start()
    daemon.event("ready")
    daemon.stop()
    with closing(sqlite3.connect(daemon.data_dir / "prx.db")) as connection:
        connection.execute("PRAGMA user_version = 999")
    daemon = start()
    assert daemon.ended() == 1
    assert "schema version 999" in daemon.text[-1]
    assert "start the newer PRX that wrote it" in daemon.text[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "without", [{"environment": {"WATCHFILES_FORCE_POLLING": "1"}}, {"launcher": WITHOUT_CHANGE_NOTICES}]
)
def test_a_file_system_without_change_notices_is_looked_at_all_the_same(
    start: StartDaemon, plugins: Path, without: dict[str, Any]
) -> None:
    prx = Rememberer(start(**without))
    for name in ("echo", "adder"):
        (plugins / f"{name}.wasm").write_bytes(component(name))
        prx.until_loaded(name)


def test_a_lost_key_and_changed_code_only_cost_compiling_again(start: StartDaemon) -> None:
    daemon = start()
    prx = Rememberer(daemon)
    prx.until_loaded()
    prx.remember("one")
    cache = daemon.data_dir / "cache"
    (cache / "key").unlink()
    for code in cache.glob("*.cwasm"):
        changed = bytearray(code.read_bytes())
        changed[len(changed) // 2] ^= 0xFF
        code.with_suffix(".new").write_bytes(changed)
        code.with_suffix(".new").replace(code)
    assert prx.post("/plugins/remember/reload")["status"] == "loaded"
    assert prx.remember("two")["output"] == kept("one")
    daemon.stop()
    prx = Rememberer(start(), token=prx.token)
    prx.until_loaded()
    assert prx.remember("three")["output"] == kept("two")


def test_a_cache_that_cannot_be_used_is_a_problem_and_heals(start: StartDaemon) -> None:
    daemon = start()
    daemon.event("ready")
    daemon.stop()
    shutil.rmtree(daemon.data_dir / "cache")
    (daemon.data_dir / "cache").touch()
    prx = Rememberer(start())
    assert "cache cannot be used: File exists; make it a directory" in prx.problems()["plugins.catalogue"]
    (daemon.data_dir / "cache").unlink()
    prx.until_loaded()
    assert prx.remember("one")["success"]
    assert prx.problems() == {}


@pytest.mark.slow
def test_a_plugins_directory_that_goes_away_is_a_problem_and_its_plugins_serve_on(
    start: StartDaemon, plugins: Path
) -> None:
    prx = Rememberer(start())
    prx.until_loaded()
    prx.remember("one")
    away = plugins.with_name("away")
    plugins.rename(away)
    wait_until(prx.problems)
    assert "No such file or directory: create the directory" in prx.problems()["plugins.catalogue"]
    assert prx.remember("two")["output"] == kept("one")
    plugins.touch()
    wait_until(lambda: "Not a directory" in prx.problems().get("plugins.catalogue", ""))
    plugins.unlink()
    shutil.copytree(away, plugins)
    wait_until(lambda: not prx.problems())
    assert prx.remember("three")["output"] == kept("two")
