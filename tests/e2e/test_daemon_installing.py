"""Installing, replacing and removing plugins with a real daemon, over REST and by the command line."""

import asyncio
import http.client
import json
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from prx.plugins.secrets import SecretStore
from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.conformance import DOCUMENTED
from tests.support.packages import package
from tests.support.waiting import eventually

BOUNDARY = "the-boundary"


class Caller:
    """A client of one daemon."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.url = daemon.event("ready")["url"]
        self.token = daemon.token()
        self.home = daemon.home
        self.environment = daemon.environment

    def get(self, path: str) -> Any:
        return call(self.url + path, self.token)[1]

    def names(self) -> list[str]:
        return [plugin["name"] for plugin in self.get("/plugins")["plugins"]]

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """Send one request and return status and JSON."""
        connection = self.connection()
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(
                method, self.path(path), body, {"Authorization": f"Bearer {self.token}"} | given
            )
            answer = connection.getresponse()
            content = answer.read()
            DOCUMENTED.check(method, self.path(path), answer.status, answer.headers, content)
            return answer.status, json.loads(content or b"null")
        finally:
            connection.close()

    def install(self, *files: Path) -> tuple[int, Any]:
        return self.send("POST", "/plugins", form(*files), Content_Type=FORM)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(urlsplit(self.url).netloc), timeout=60)

    def path(self, path: str) -> str:
        return urlsplit(self.url).path + path

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `prx plugin` as an operator does."""
        return subprocess.run(
            [sys.executable, "-m", "prx", "plugin", *arguments],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            check=False,
            text=True,
        )


FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(*files: Path) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'.encode()
        + path.read_bytes()
        + b"\r\n"
        for path in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def part_named(name: str, *, more: str = "") -> bytes:
    """Return an upload whose one file has this name, whatever it is."""
    head = f'--{BOUNDARY}\r\n{more}Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return os.fsencode(head) + component("echo") + f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def start(start_daemon: StartDaemon) -> Callable[..., tuple[DaemonProcess, Caller]]:
    def start(*arguments: str, environment: dict[str, str] | None = None) -> tuple[DaemonProcess, Caller]:
        daemon = start_daemon(*arguments, environment=environment)
        return daemon, Caller(daemon)

    return start


Start = Callable[..., tuple[DaemonProcess, Caller]]


def installed(daemon: DaemonProcess) -> list[str]:
    return sorted(path.name for path in (daemon.data_dir / "plugins").iterdir())


def test_a_plugin_is_installed_replaced_and_removed_over_rest(start: Start, tmp_path: Path) -> None:
    """The bound on other requests' bodies does not count here."""
    daemon, caller = start(environment={"PRX__GATEWAY__MAX_BODY_KB": "1"})
    more = '[permissions]\nrequired = ["memory"]\n'
    older, newer = package(tmp_path, "parrot", more=more), package(tmp_path, "parrot", "1.3.0")
    other = tmp_path / "sum.wasm"
    other.write_bytes(component("every-type"))
    assert other.stat().st_size > 1024

    status, row = caller.install(older)
    assert (status, row["name"], row["version"], row["status"]) == (201, "parrot", "1.2.0", "error")
    assert "prx plugin grant parrot memory" in row["error"]
    assert caller.install(newer) == (
        200,
        {
            "name": "parrot",
            "version": "1.3.0",
            "status": "loaded",
            "capabilities": ["tool:echo"],
            "memory_usage_bytes": 0,
        },
    )
    assert caller.install(other)[0] == 201
    assert installed(daemon) == ["parrot-1.3.0.prxplugin", "sum.wasm"]
    assert caller.get("/plugins/parrot")["signature"] is None

    bare = tmp_path / "parrot.wasm"
    bare.write_bytes(component("echo"))
    status, refusal = caller.install(bare)
    assert (status, refusal["error"]["code"]) == (409, "conflict")
    assert "parrot-1.3.0.prxplugin, which is another form" in refusal["error"]["message"]
    bare.write_bytes(b"damaged")
    status, refusal = caller.install(bare)
    assert (status, refusal["error"]["code"]) == (400, "bad_request")
    assert refusal["error"]["message"].startswith("it is not installed: parrot.wasm is not WebAssembly")

    assert caller.send("DELETE", "/plugins/parrot?purge=perhaps")[0] == 400
    assert caller.send("DELETE", "/plugins/parrot") == (204, None)
    assert caller.send("DELETE", "/plugins/parrot")[0] == 404
    assert (caller.names(), installed(daemon)) == (["sum"], ["sum.wasm"])


def test_only_who_may_administer_plugins_installs_and_removes(start: Start, tmp_path: Path) -> None:
    daemon, caller = start()
    path = package(tmp_path, "parrot")
    assert caller.install(path)[0] == 201
    made = subprocess.run(
        [sys.executable, "-m", "prx", "auth", "token", "--role", "operator"],
        cwd=daemon.home,
        env=daemon.environment,
        capture_output=True,
        check=True,
        text=True,
    )
    caller.token = made.stdout.strip()
    for status, refusal in (caller.install(path), caller.send("DELETE", "/plugins/parrot")):
        assert (status, refusal["error"]["details"]) == (403, {"scope": "plugins:admin"})
    assert caller.names() == ["parrot"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content_Type": "application/json"}, b"{}", 415),
        ({"Content_Type": FORM, "Content_Length": str(200 * 2**20)}, b"", 413),
        ({"Content_Type": "multipart/form-data"}, b"x", 400),
        ({"Content_Type": FORM}, b"", 400),
        ({"Content_Type": FORM}, b"nothing of the kind", 400),
        ({"Content_Type": FORM}, f"--{BOUNDARY}--\r\n".encode(), 400),
        ({"Content_Type": FORM},
         f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--{BOUNDARY}--'.encode(), 400),
        ({"Content_Type": FORM},
         f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="a.wasm"\r\n\r\nno end'.encode(), 400),
        ({"Content_Type": FORM}, part_named("a.wasm\0"), 400),
        ({"Content_Type": FORM}, part_named("a\nb.wasm"), 400),
        ({"Content_Type": FORM}, part_named("a.wasm", more=f"X: {'y' * 100_000}\r\n"), 400),
        ({"Content_Type": FORM}, part_named("a" * 300 + ".wasm"), 400),
        ({"Content_Type": FORM}, part_named("../a.wasm"), 400),
        ({"Content_Type": FORM}, part_named("\udcff.wasm"), 400),
    ],
)  # fmt: skip
def test_a_body_that_is_no_upload_is_refused_and_leaves_nothing(
    start: Start, headers: dict[str, str], body: bytes, status: int
) -> None:
    daemon, caller = start()
    found, refusal = caller.send("POST", "/plugins", body, **headers)
    assert (found, list(refusal["error"])) == (status, ["code", "message", "details"])
    assert installed(daemon) == []


def test_a_signed_package_goes_all_the_way_by_the_command_line(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "parrot"
    directory.mkdir()
    (directory / "plugin.toml").write_text('[plugin]\nname = "parrot"\nversion = "1.2.0"\n')
    (directory / "plugin.wasm").write_bytes(component("echo"))
    sign_with = {"PRX__PLUGINS__REQUIRE_SIGNATURE": "true"}
    made = subprocess.run(
        [sys.executable, "-m", "prx", "plugin", "keygen", "--output", "my.key"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    )
    key = made.stdout.strip()
    (tmp_path / "prx.toml").write_text(
        f'[plugins]\ndirectory = "data/prx/plugins"\ntrusted_keys = ["{key}"]\n'
    )
    (tmp_path / "data" / "prx" / "plugins").mkdir(parents=True)
    daemon, caller = start(environment=sign_with)

    assert caller.command("pack", "parrot").returncode == 0
    file = "parrot-1.2.0.prxplugin"
    refused = caller.command("install", file)
    assert refused.returncode == 1
    assert "plugins.require_signature is set and it is not signed" in refused.stderr
    assert caller.command("verify", file).returncode == 3
    assert caller.command("sign", file, "--key", "my.key").returncode == 0
    assert caller.command("verify", file).returncode == 0
    done = caller.command("install", file)
    assert (done.returncode, done.stdout) == (0, "Installed parrot 1.2.0; it is loaded.\n")
    assert caller.get("/plugins/parrot")["signature"] == {"key": key, "trusted": True}
    assert json.loads(caller.command("install", file, "--json").stdout)["status"] == "loaded"

    (tmp_path / "sum.wasm").write_bytes(component("adder"))
    assert caller.command("sign", "sum.wasm", "--key", "my.key").returncode == 0
    done = caller.command("install", "sum.wasm")
    assert (done.returncode, done.stdout) == (0, "Installed sum 0.0.0; it is loaded.\n")
    assert installed(daemon) == [file, "sum.wasm", "sum.wasm.sig"]

    for name in ("parrot", "sum"):
        daemon.prx("config", "set", f"plugins.settings.{name}.config.units", "metric")
        SecretStore(daemon.data_dir).set(f"KEY_{name}", "value", [name])
    gone, kept, setting = caller.command("remove", "parrot").stdout.splitlines()
    assert gone == "Removed parrot; what it stored is kept."
    assert kept == "A secret is kept for it: `prx secret remove KEY_parrot` deletes it."
    where = f"plugins.settings.parrot.config.units in {daemon.data_dir}/overlay.toml:"
    assert setting.startswith(f"A setting is kept for it: {where}")
    removed = caller.command("remove", "sum", "--purge", "--json")
    left = json.loads(removed.stdout)
    assert (left["name"], left["purged"], left["secrets_left"]) == ("sum", True, [])
    assert list(left["settings_left"]) == ["plugins.settings.sum.config.units"]
    again = caller.command("remove", "sum")
    assert (again.returncode, 'Plugin "sum" not found' in again.stderr) == (1, True)
    assert installed(daemon) == []
    assert daemon.stop() == 0
    down = caller.command("install", file)
    assert (down.returncode, "no daemon runs" in down.stderr) == (5, True)


def test_an_upload_that_a_kill_cuts_short_is_gone_at_the_next_start(start: Start, tmp_path: Path) -> None:
    daemon, caller = start()
    assert caller.install(package(tmp_path, "parrot"))[0] == 201
    body = form(package(tmp_path, "parrot", "1.3.0"))
    connection = caller.connection()
    connection.putrequest("POST", caller.path("/plugins"))
    for name, value in {"Authorization": f"Bearer {caller.token}", "Content-Type": FORM}.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[: len(body) // 2])
    plugins = daemon.data_dir / "plugins"
    asyncio.run(eventually(lambda: list(plugins.glob(".prx-new.*/*"))))
    daemon.process.kill()
    daemon.process.wait()
    connection.close()
    assert len(installed(daemon)) == 2
    daemon, caller = start()
    assert installed(daemon) == ["parrot-1.2.0.prxplugin"]
    assert caller.get("/plugins/parrot")["version"] == "1.2.0"


@pytest.mark.slow
def test_a_kill_at_any_moment_of_an_upgrade_leaves_one_whole_version(start: Start, tmp_path: Path) -> None:
    packages = [package(tmp_path, "parrot", f"1.{minor}.0") for minor in range(2)]
    delays = random.Random(1)  # noqa: S311  # the same moments at each run
    daemon, caller = start()
    assert caller.install(packages[0])[0] == 201
    for _ in range(8):
        killer = threading.Timer(delays.uniform(0, 0.15), daemon.process.kill)
        killer.start()
        try:
            for upgrade in range(1000):
                caller.install(packages[upgrade % 2])
        except (OSError, http.client.HTTPException):
            pass
        daemon.process.wait()
        daemon, caller = start()
        [file] = installed(daemon)
        plugin = caller.get("/plugins/parrot")
        assert (plugin["status"], "error" in plugin) == ("loaded", False)
        assert file in {path.name for path in packages}


def test_a_disk_without_room_is_told_and_nothing_has_changed(start: Start, tmp_path: Path) -> None:
    daemon, caller = start()
    assert caller.install(package(tmp_path, "parrot"))[0] == 201
    large = package(tmp_path, "parrot", "2.0.0", wasm=component("echo") + os.urandom(3 * 2**20))
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
    status, refusal = caller.install(large)
    assert (status, refusal["error"]["code"]) == (503, "unavailable")
    assert (
        "cannot be changed: File too large; make room or make the directory writable"
        in refusal["error"]["message"]
    )
    assert installed(daemon) == ["parrot-1.2.0.prxplugin"]
    assert caller.get("/plugins/parrot")["version"] == "1.2.0"


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Let nobody write into `directory` for the block: root writes everywhere but on a file system mounted so."""
    mounted = os.geteuid() == 0
    if mounted:
        for options in ("bind", "remount,bind,ro"):
            subprocess.run(["mount", "-o", options, directory, directory], check=True)
    else:
        directory.chmod(0o500)
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", directory], check=True)
        else:
            directory.chmod(0o700)


def test_a_directory_that_is_read_only_is_told_and_the_plugin_serves_on(start: Start, tmp_path: Path) -> None:
    daemon, caller = start()
    assert caller.install(package(tmp_path, "parrot"))[0] == 201
    with read_only(daemon.data_dir / "plugins"):
        newer = caller.install(package(tmp_path, "parrot", "1.3.0"))
        for status, refusal in (newer, caller.send("DELETE", "/plugins/parrot")):
            assert status == 503
            assert "make the directory writable, then try again" in refusal["error"]["message"]
        tool = {"arguments": {"text": "x"}}
        assert call(f"{caller.url}/tools/echo/call", caller.token, tool)[1]["output"] == "x"
    assert caller.send("DELETE", "/plugins/parrot")[0] == 204
