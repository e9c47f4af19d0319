"""Directories and variables: a real guest finds what was granted, nothing else, and no longer than it is."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from prx.plugins.cache import Cache
from prx.plugins.compiler import Compiler
from tests.support.plugin_host import PluginHost
from tests.support.visitor import NAME, Visitor, build, manifest
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow  # the guest is built and compiled for these


@pytest.fixture(scope="session")
def wasm(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> bytes:
    """The guest, with its compiled code in the cache: both take longer than a test waits for a plugin."""
    content = build(tmp_path_factory.mktemp("visitor"))
    compiling = Compiler(Cache(compiled / "cache")).compile(
        content, hashlib.sha256(content).hexdigest(), fuel=False, wanted=lambda: True
    )
    asyncio.run(compiling)
    return content


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory to be granted, with a neighbour that is not."""
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "note").write_text("hello")
    (tmp_path / "secret").write_text("not for guests")
    return tmp_path / "data"


async def test_a_granted_directory_is_read_and_nothing_can_be_changed_there(
    host: PluginHost, wasm: bytes, data: Path
) -> None:
    host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[str(data)]))
    async with host.running():
        plugin = await host.until(NAME, "error", "which is not granted")
        assert plugin.error == (
            f'requires "filesystem" for {data}:ro, which is not granted: prx plugin grant visitor filesystem'
        )
        await host.catalogue.decide(NAME, {"filesystem": True})
        await host.until(NAME, "loaded")
        guest = Visitor(host)
        assert await guest.did("names", path=str(data)) == ["inner", "note"]
        assert await guest.did("read", path=f"{data}/note") == "hello"
        for tool, arguments in {
            "write": {"path": f"{data}/note", "text": "x"},
            "remove": {"path": f"{data}/note"},
            "link": {"path": f"{data}/link", "target": "note"},
        }.items():
            assert "PermissionError" in await guest.failed(tool, **arguments)
    assert sorted(os.listdir(data)) == ["inner", "note"]  # noqa: PTH208  # the shortest word for it


async def test_a_writable_directory_is_written_to_and_nothing_outside_it_is_reached(
    host: PluginHost, wasm: bytes, data: Path
) -> None:
    outside = data.parent / "secret"
    (data / "out").symlink_to(outside)
    (data / "up").symlink_to("../secret")
    (data / "in").symlink_to("note")
    host.configure(auto_grant=("filesystem",))
    host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[f"{data}:rw"]))
    async with host.running():
        await host.until(NAME, "loaded")
        guest = Visitor(host)
        await guest.did("write", path=f"{data}/inner/new", text="written")
        assert (data / "inner" / "new").read_text() == "written"
        assert await guest.did("read", path=f"{data}/in") == "hello"
        for path in (
            outside,
            data / "out",
            data / "up",
            data / "../secret",
            "/proc/self/environ",
            "/etc/passwd",
        ):
            assert "Error" in await guest.failed("read", path=str(path))
            assert "Error" in await guest.failed("write", path=str(path), text="x")
        assert "PermissionError" in await guest.failed("link", target=str(outside), path=f"{data}/own")
        await guest.did("link", target="../secret", path=f"{data}/own")
        assert "PermissionError" in await guest.failed("read", path=f"{data}/own")
        for path in ("/", str(data.parent), f"{data}/.."):
            assert "Error" in await guest.failed("names", path=path)
    assert outside.read_text() == "not for guests"


async def test_a_link_is_followed_when_the_plugin_loads_and_never_after(
    host: PluginHost, wasm: bytes, data: Path
) -> None:
    link = data.parent / "link"
    link.symlink_to("data/inner")
    (data / "inner" / "deep").write_text("below")
    host.configure(auto_grant=("filesystem",))
    host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[str(link)]))
    async with host.running():
        await host.until(NAME, "loaded")
        guest = Visitor(host)
        assert await guest.did("read", path=f"{link}/deep") == "below"
        link.unlink()
        link.symlink_to(data.parent)
        assert await guest.did("read", path=f"{link}/deep") == "below"
        (data / "inner").rename(data / "moved")
        (data / "inner").symlink_to("..")
        # One that was prepared before still shows the very directory that was granted.
        await host.call("names", {"path": str(link)})
        result = await host.call("names", {"path": str(link)})
        assert result.error is not None
        assert result.error.code == "host_error"
        assert f"{data}/inner leads elsewhere now; reload the plugin" in result.error.message


async def test_variables_are_passed_where_granted_and_their_values_are_shown_nowhere(
    host: PluginHost,
    wasm: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VISITOR_KEY", "the value of the key")
    monkeypatch.setenv("VISITOR_OTHER", "not asked for")
    monkeypatch.delenv("VISITOR_UNSET", raising=False)
    names = ["VISITOR_KEY", "VISITOR_UNSET"]
    host.drop(NAME, wasm, manifest=manifest(optional=["env"], variables=names))
    async with host.running():
        plugin = await host.until(NAME, "loaded")
        guest = Visitor(host)
        assert await guest.variables() == {}
        found = host.catalogue.grants_of(NAME)
        assert found["waiting"] == {"env": names}
        assert [(d["operation"], d["allow_with"]) for d in reversed(found["denials"])] == [
            (f"env {name}", "prx plugin grant visitor env") for name in names
        ]
        await host.catalogue.decide(NAME, {"env": True})
        assert await guest.variables() == {"VISITOR_KEY": "the value of the key"}
        told = str(plugin.detail()) + str(host.catalogue.grants_of(NAME)) + repr(plugin.loaded)
        await host.catalogue.decide(NAME, {"env": False})
        assert await guest.variables() == {}
    assert "the value of the key" not in told + "".join(capfd.readouterr())


@pytest.mark.parametrize("instance", ["fresh", "warm"])
async def test_a_decision_acts_at_the_next_call_without_a_reload(
    host: PluginHost, wasm: bytes, data: Path, instance: str
) -> None:
    text = manifest(optional=["filesystem"], directories=[str(data)], instance=instance)
    host.drop(NAME, wasm, manifest=text)
    async with host.running():
        plugin = await host.until(NAME, "loaded")
        guest = Visitor(host)
        for _ in range(2):
            assert "FileNotFoundError" in await guest.failed("read", path=f"{data}/note")
            await host.catalogue.decide(NAME, {"filesystem": True})
            assert await guest.did("read", path=f"{data}/note") == "hello"
            await host.catalogue.decide(NAME, {"filesystem": False})
        assert "FileNotFoundError" in await guest.failed("read", path=f"{data}/note")
        assert plugin.number == 1


async def test_a_warm_instance_serves_on_after_a_decision_about_something_else(
    host: PluginHost, wasm: bytes, data: Path
) -> None:
    text = manifest(optional=["filesystem", "memory"], directories=[str(data)], instance="warm")
    host.drop(NAME, wasm, manifest=text)
    async with host.running():
        await host.until(NAME, "loaded")
        guest = Visitor(host)
        assert [await guest.did("visits") for _ in range(2)] == [1, 2]
        await host.catalogue.decide(NAME, {"memory": True})
        assert await guest.did("visits") == 3
        await host.catalogue.decide(NAME, {"filesystem": True})
        assert await guest.did("visits") == 1


async def test_a_version_that_asks_for_more_waits_and_the_old_one_serves(
    host: PluginHost, wasm: bytes, data: Path
) -> None:
    inner = data / "inner"
    host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[str(inner)]))
    async with host.running():
        await host.until(NAME, "error", "not granted")
        await host.catalogue.decide(NAME, {"filesystem": True})
        await host.until(NAME, "loaded")
        host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[str(data)]))
        waiting = await host.until(
            NAME, "loaded", f'requires "filesystem" for {data}:ro, which is not granted'
        )
        guest = Visitor(host)
        assert await guest.did("names", path=str(inner)) == []
        assert "FileNotFoundError" in await guest.failed("names", path=str(data))
        found = host.catalogue.grants_of(NAME)
        assert (found["covered"], found["waiting"]) == ({}, {"filesystem": [f"{data}:ro"]})
        assert found["allow_with"] == "prx plugin grant visitor filesystem"
        await host.catalogue.decide(NAME, {"filesystem": True})
        assert (waiting.number, waiting.error) == (2, None)
        assert await guest.did("names", path=str(data)) == ["inner", "note"]
        # Less, and the same for reading only, was granted with it.
        host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[f"{inner}:ro"]))
        await eventually(lambda: waiting.number == 3)
    async with host.running():
        await host.until(NAME, "loaded")
        host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[f"{inner}:rw"]))
        await host.until(NAME, "loaded", f"{inner}:rw, which is not granted")


async def test_of_an_optional_list_only_what_was_granted_takes_effect(
    host: PluginHost, wasm: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISITOR_ONE", "1")
    monkeypatch.setenv("VISITOR_TWO", "2")
    host.drop(NAME, wasm, manifest=manifest(optional=["env"], variables=["VISITOR_ONE"]))
    async with host.running():
        plugin = await host.until(NAME, "loaded")
        await host.catalogue.decide(NAME, {"env": True})
        more = manifest(optional=["env"], variables=["VISITOR_ONE", "VISITOR_TWO"])
        host.drop(NAME, wasm, manifest=more)
        await eventually(lambda: plugin.number == 2)
        assert await Visitor(host).variables() == {"VISITOR_ONE": "1"}
        found = host.catalogue.grants_of(NAME)
        assert (found["covered"], found["waiting"]) == ({"env": ["VISITOR_ONE"]}, {"env": ["VISITOR_TWO"]})
        await host.catalogue.decide(NAME, {"env": True})
        assert await Visitor(host).variables() == {"VISITOR_ONE": "1", "VISITOR_TWO": "2"}


async def test_directories_that_no_plugin_is_given_are_refused(
    host: PluginHost, wasm: bytes, data: Path
) -> None:
    host.configure(auto_grant=("filesystem",))
    own = {
        str(host.directory): "the daemon's own",
        str(host.data_dir / "cache"): "the daemon's own",
        "/": "which no plugin is given",
        f"{data}/none": "create the directory",
    }
    async with host.running():
        for path, why in own.items():
            host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[path]))
            await host.until(NAME, "error", f'plugin.toml: [permissions] filesystem_allowlist: "{path}:ro": ')
            assert why in (host.plugin(NAME).error or "")
        host.drop(NAME, wasm, manifest=manifest(optional=["filesystem"], directories=[str(data), "/"]))
        plugin = await host.until(NAME, "loaded")
        assert await Visitor(host).did("names", path=str(data)) == ["inner", "note"]
        [warning] = plugin.detail()["warnings"]
        assert 'filesystem_allowlist: "/:ro": leads to /, which no plugin is given' in warning


async def test_a_guest_that_is_held_up_in_the_kernel_holds_up_nobody_else(
    host: PluginHost, wasm: bytes, data: Path
) -> None:
    os.mkfifo(data / "fifo")
    host.configure(auto_grant=("filesystem",))
    limits = {"max_execution_time_ms": 1000, "max_concurrency": 2}
    host.drop(NAME, wasm, manifest=manifest(required=["filesystem"], directories=[str(data)], **limits))
    host.drop("echo")
    async with host.running():
        await host.until(NAME, "loaded")
        await host.until("echo", "loaded")
        held = asyncio.ensure_future(host.call("read", {"path": f"{data}/fifo"}))
        assert await Visitor(host).did("read", path=f"{data}/note") == "hello"
        result = await held
        assert result.error is not None
        assert result.error.code == "timeout"
        assert "held up in a file operation" in result.error.message
        assert result.receipt is not None
        assert result.receipt.wall_ms >= 1000
        assert await host.output("echo", {"text": "on"}) == "on"
        assert await Visitor(host).did("read", path=f"{data}/note") == "hello"
        await host.call("read", {"path": f"{data}/fifo"})
        # The files change while both threads are held: the next version has its own.
        host.drop(
            NAME, wasm, manifest=manifest(required=["filesystem"], directories=[f"{data}:rw"], **limits)
        )
        await eventually(lambda: host.plugin(NAME).number == 2)
        assert await Visitor(host).did("read", path=f"{data}/note") == "hello"
    # The host ends although two threads never return; let them go for the sake of the other tests.
    os.close(os.open(data / "fifo", os.O_RDWR | os.O_NONBLOCK))
