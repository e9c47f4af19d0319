"""Compiling in a process of its own, and trusting nothing in the cache that this daemon did not make."""

import asyncio
import hashlib
import shutil
import stat
from pathlib import Path

import pytest
from wasmtime import Config, Engine
from wasmtime import component as wasm

from prx.plugins.cache import Cache, cache_key
from prx.plugins.compiler import Compiler
from prx.plugins.errors import LoadError, SupersededError
from tests.components.corpus import component
from tests.support.plugin_host import PluginHost
from tests.support.processes import children, names_in

ECHO = hashlib.sha256(component("echo")).hexdigest()


@pytest.fixture
def fresh(host: PluginHost, tmp_path: Path) -> PluginHost:
    """A host with an empty cache of its own."""
    host.data_dir = tmp_path / "data"
    return host


def cached(host: PluginHost) -> list[str]:
    return sorted(path.suffix for path in (host.data_dir / "cache").iterdir())


async def test_the_same_component_is_compiled_once_for_each_engine(fresh: PluginHost) -> None:
    for name in ("one", "two", "three"):
        fresh.settle(name, tool_prefix=f"{name}_", limits={"max_fuel": 10**6} if name == "three" else {})
        fresh.drop(name, component("echo"))
    async with fresh.running():
        for name in ("one", "two", "three"):
            await fresh.until(name, "loaded")
            assert await fresh.output(f"{name}_echo", {"text": name}) == name
    assert cached(fresh) == ["", ".cwasm", ".cwasm", ".sig", ".sig"]


@pytest.mark.parametrize("victim", ["*.cwasm", "*.sig", "key"])
async def test_a_tampered_cache_is_compiled_again_and_never_loaded(victim: str, fresh: PluginHost) -> None:
    fresh.drop("echo")
    async with fresh.running():
        await fresh.until("echo", "loaded")
    [path] = (fresh.data_dir / "cache").glob(victim)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    async with fresh.running():
        assert fresh.at_start == {"echo": "loading"}
        await fresh.until("echo", "loaded")
        assert await fresh.output("echo", {"text": "safe"}) == "safe"
    async with fresh.running():
        assert fresh.at_start == {"echo": "loaded"}


async def test_code_that_the_engine_refuses_is_compiled_again(fresh: PluginHost) -> None:
    """As after a move to a machine whose processor lacks what the code was made for."""
    cache = Cache(fresh.data_dir / "cache")
    foreign = cache.new_file()
    foreign.write_bytes(wasm.Component(Engine(Config()), component("echo")).serialize())
    cache.store(cache_key(ECHO, fuel=False), foreign)
    fresh.drop("echo")
    async with fresh.running():
        await fresh.until("echo", "loaded")
        assert await fresh.output("echo", {"text": "mine"}) == "mine"


async def test_a_cache_that_cannot_be_written_says_so_and_heals(fresh: PluginHost) -> None:
    async with fresh.running():
        cache = fresh.data_dir / "cache"
        cache.rename(cache.with_name("away"))
        cache.touch()
        fresh.drop("echo")
        await fresh.until("echo", "error", f"its compiled code cannot be stored in {cache}: Not a directory")
        cache.unlink()
        cache.with_name("away").rename(cache)
        await fresh.catalogue.reload("echo")
        await fresh.until("echo", "loaded")


async def test_a_cache_that_is_deleted_under_a_running_host_is_made_again(fresh: PluginHost) -> None:
    async with fresh.running():
        fresh.drop("echo")
        await fresh.until("echo", "loaded")
        shutil.rmtree(fresh.data_dir / "cache")
        await fresh.catalogue.reload("echo")
        assert await fresh.output("echo", {"text": "again"}) == "again"
        assert stat.S_IMODE((fresh.data_dir / "cache").stat().st_mode) == 0o700


async def test_modules_in_the_working_directory_do_not_reach_the_compiler(
    fresh: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("json", "wasmtime", "prx"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('taken for a module')\n")
    monkeypatch.chdir(tmp_path)
    fresh.drop("echo")
    async with fresh.running():
        await fresh.until("echo", "loaded")


async def test_compiling_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No component compiles in no time.
    monkeypatch.setattr("prx.plugins.compiler._TIMEOUT_SECS", 0.0)
    before = children()
    with pytest.raises(LoadError, match="compiling it took longer than 0 s"):
        await Compiler(Cache(tmp_path)).compile(component("echo"), ECHO, fuel=False, wanted=lambda: True)
    assert children() == before
    assert names_in(tmp_path) == ["key"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (component("echo")[:-1], "it is not a valid component: "),
        (component("echo") + b"\x63\x02\0\0", "it is not a valid component: "),
        (component("echo")[:8] + b"\xff" * 100, "it is not a valid component: "),
    ],
)
async def test_what_the_compiler_refuses_is_one_sentence(content: bytes, reason: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(LoadError) as caught:
        await Compiler(Cache(tmp_path)).compile(content, digest, fuel=False, wanted=lambda: True)
    assert caught.value.message.startswith(reason)
    assert "\n" not in caught.value.message
    assert names_in(tmp_path) == ["key"]


async def test_what_is_superseded_while_it_waits_is_not_compiled(tmp_path: Path) -> None:
    """A file that is saved again and again costs the compilations that can still be of use, not one for each save."""
    compiler = Compiler(Cache(tmp_path))
    first = asyncio.create_task(compiler.compile(component("echo"), ECHO, fuel=False, wanted=lambda: True))
    stale = [
        compiler.compile(b"never looked at", "0" * 64, fuel=False, wanted=lambda: False) for _ in range(50)
    ]
    ended = await asyncio.gather(*stale, return_exceptions=True)
    assert {type(end) for end in ended} == {SupersededError}
    assert (await first).exists()
    assert [Path(name).suffix for name in names_in(tmp_path)] == [".cwasm", ".sig", ""]


async def test_what_was_compiled_while_it_waited_is_not_compiled_again(tmp_path: Path) -> None:
    compiler = Compiler(Cache(tmp_path))
    same = [compiler.compile(component("echo"), ECHO, fuel=False, wanted=lambda: True) for _ in range(2)]
    first, second = [asyncio.create_task(each) for each in same]
    inode = (await first).stat().st_ino
    assert (await second).stat().st_ino == inode
