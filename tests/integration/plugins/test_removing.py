"""Removing plugins: their files go in one step, and the next one of that name inherits no trust."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prx.core.errors import ConflictError, NotFoundError, UnavailableError
from prx.plugins.sources import source_at
from prx.plugins.staging import take_out
from tests.components.corpus import component
from tests.support.packages import contents, package
from tests.support.plugin_host import PluginHost
from tests.support.waiting import PATIENCE_SECS, eventually

ASKS = '[permissions]\nrequired = ["memory"]\n'
ROWS = [
    "plugin_grants", "plugin_denials", "plugin_quarantine", "plugin_generations", "tool_holders", "plugin_kv",
]  # fmt: skip


def files(host: PluginHost) -> list[str]:
    return sorted(path.name for path in host.directory.iterdir())


async def known(host: PluginHost) -> list[str]:
    """Return the tables of the store that know something of the plugin."""
    tables = dict.fromkeys(ROWS, "plugin") | {"plugin_state": "name"}

    def job(db: sqlite3.Connection) -> list[str]:
        return [
            table
            for table, column in tables.items()
            if db.execute(f"SELECT count(*) FROM {table} WHERE {column} = 'parrot'").fetchone()[0]  # noqa: S608
        ]

    return await host.store.run(job)


async def until_known(host: PluginHost, *tables: str) -> None:
    """Wait until the store knows of the plugin in `tables`: it is written after the plugin serves."""
    async with asyncio.timeout(PATIENCE_SECS):
        while not set(tables) <= set(await known(host)):
            pass


@asynccontextmanager
async def busy_store(host: PluginHost) -> AsyncIterator[None]:
    """Have everything that the store is asked for wait until the block ends."""
    begun, done = threading.Event(), threading.Event()

    def hold(_db: sqlite3.Connection) -> None:
        begun.set()
        done.wait()

    holding = asyncio.create_task(host.store.run(hold))
    await asyncio.to_thread(begun.wait)
    try:
        yield
    finally:
        done.set()
        await holding


async def trusted(host: PluginHost) -> None:
    """Have the store know everything of a plugin called parrot that it may know."""
    await host.until("parrot", "error", "memory")
    await host.catalogue.decide("parrot", {"memory": True})
    await host.until("parrot", "loaded")
    await host.catalogue.disable("parrot")

    def job(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO plugin_kv VALUES ('parrot', 'key', 'value')")
        at, until = "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z"
        db.execute(
            "INSERT INTO plugin_denials (plugin, permission, operation, count, first_at, last_at) "
            "VALUES ('parrot', 'kv', 'get', 1, ?, ?)",
            (at, at),
        )
        db.execute("INSERT INTO plugin_quarantine VALUES ('parrot', 'why', ?, ?, 1)", (at, until))

    await host.store.run(job)
    await until_known(host, *ROWS)


@pytest.mark.parametrize("form", ["bare", "directory", "package"])
async def test_a_removed_plugin_is_gone_with_its_files(host: PluginHost, form: str) -> None:
    async with host.running():
        if form == "bare":
            host.drop("parrot", component("echo"))
            (host.directory / "other.wasm.sig").touch()
        elif form == "directory":
            host.drop("echo", manifest=contents("parrot")["plugin.toml"].decode())
        else:
            package(host.directory, "parrot")
        await host.until("parrot", "loaded")
        await host.catalogue.remove("parrot", purge=False)
        assert host.names() == []
        assert files(host) == (["other.wasm.sig"] if form == "bare" else [])
        with pytest.raises(NotFoundError, match='Tool "echo" not found'):
            await host.call("echo", {"text": ""})
        with pytest.raises(NotFoundError, match='Plugin "parrot" not found'):
            await host.catalogue.remove("parrot", purge=False)


async def test_the_next_of_its_name_inherits_no_trust(host: PluginHost) -> None:
    async with host.running():
        package(host.directory, "parrot", more=ASKS)
        await trusted(host)
        assert await known(host) == [*ROWS, "plugin_state"]
    async with host.running():  # with all of it remembered
        await host.until("parrot", "disabled")
        await host.catalogue.remove("parrot", purge=False)
        assert await known(host) == ["plugin_kv"]
        package(host.directory, "parrot", more=ASKS)
        plugin = await host.until("parrot", "error", "memory")
        assert (plugin.disabled, plugin.gate.sentence) == (False, None)
        assert host.catalogue.grants_of("parrot")["decisions"] == {}
        assert host.catalogue.grants_of("parrot")["denials"] == []
    async with host.running():
        await host.until("parrot", "error", "memory")


async def test_its_data_goes_only_when_asked(host: PluginHost) -> None:
    async with host.running():
        package(host.directory, "parrot", more=ASKS)
        await trusted(host)
        await host.catalogue.remove("parrot", purge=True)
        assert await known(host) == []


async def test_calls_that_wait_for_a_plugin_that_is_removed_are_refused_at_once(host: PluginHost) -> None:
    host.limit(max_execution_time_ms=3_600_000, max_concurrency=1)
    async with host.running():
        host.drop("parrot", component("loop"))
        await host.until("parrot", "loaded")
        runs = asyncio.ensure_future(host.call("run"))
        await eventually(lambda: host.plugin("parrot").memory_usage_bytes() > 0)
        wait = [asyncio.ensure_future(host.call("run")) for _ in range(3)]
        await asyncio.wait(wait, timeout=0)
        await host.catalogue.remove("parrot", purge=False)
        ends = await asyncio.gather(*wait, return_exceptions=True)
        assert {(type(end), str(end)) for end in ends} == {
            (ConflictError, 'plugin "parrot" is out of service; the call did not run')
        }
        assert not runs.done()
    await runs


async def test_another_plugin_may_take_the_name_of_a_tool_that_was_removed(host: PluginHost) -> None:
    async with host.running():
        host.drop("parrot", component("echo"))
        await host.until("parrot", "loaded")
        host.drop("mimic", component("echo"))
        await host.until("mimic", "error", "already offered")
        await host.catalogue.remove("parrot", purge=False)
        await host.until("mimic", "loaded")


async def test_files_that_somebody_else_deleted_are_no_reason_to_fail(host: PluginHost) -> None:
    host.configure(watch=False)
    async with host.running():
        path = host.drop("echo")
        await host.catalogue._inventory.reconcile()
        await host.until("echo", "loaded")
        path.unlink()
        await host.catalogue.remove("echo", purge=False)
        assert (host.names(), files(host)) == ([], [])


@pytest.mark.parametrize("comes_back", [False, True])
async def test_files_that_go_while_a_removal_waits_for_its_turn_are_no_reason_to_fail(
    host: PluginHost,
    comes_back: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    async with host.running():
        host.drop("parrot", component("echo"))
        plugin = await host.until("parrot", "loaded")
        async with plugin.changing:
            removing = asyncio.create_task(host.catalogue.remove("parrot", purge=False))
            (host.directory / "parrot.wasm").unlink()
            await eventually(lambda: host.names() == [])
            if comes_back:
                host.drop("parrot", component("echo"))
                await host.until("parrot", "loaded")
        if comes_back:
            with pytest.raises(ConflictError, match="was changed meanwhile"):
                await removing
            assert await host.output("echo", {"text": "x"}) == "x"
        else:
            await removing
            assert await known(host) == []


async def test_a_link_to_a_directory_is_removed_and_not_what_it_leads_to(
    host: PluginHost, tmp_path: Path
) -> None:
    plugin = host.drop("echo", manifest=contents("parrot")["plugin.toml"].decode())
    plugin.rename(tmp_path / "elsewhere")
    plugin.symlink_to(tmp_path / "elsewhere")
    async with host.running():
        await host.until("parrot", "loaded")
        await host.catalogue.remove("parrot", purge=False)
        assert files(host) == []
        assert (tmp_path / "elsewhere" / "plugin.wasm").exists()


async def test_a_plugin_that_is_there_twice_or_damaged(host: PluginHost) -> None:
    async with host.running():
        first, second = package(host.directory, "parrot"), package(host.directory, "parrot", "1.3.0")
        await host.until("parrot", "error", "two plugins")
        with pytest.raises(ConflictError, match=f"{first} and {second}"):
            await host.catalogue.remove("parrot", purge=False)
        assert files(host) == [first.name, second.name]
        second.unlink()
        await host.until("parrot", "loaded")
        second.write_bytes(b"damaged")
        await host.until(second.name, "error", "")
        await host.catalogue.remove(second.name, purge=False)
        assert host.names() == ["parrot"]


async def test_a_store_that_cannot_forget_keeps_the_plugin(host: PluginHost) -> None:
    async with host.running():
        host.drop("parrot", component("echo"))
        await host.until("parrot", "loaded")
        await until_known(host, "plugin_generations", "tool_holders")
        await host.store.run(lambda db: db.execute("PRAGMA query_only = ON"))
        with pytest.raises(UnavailableError):
            await host.catalogue.remove("parrot", purge=False)
        assert files(host) == ["parrot.wasm"]
        assert (await host.until("parrot", "loaded")).capabilities == ["tool:echo"]
        assert await host.output("echo", {"text": "x"}) == "x"


async def test_who_decides_about_a_plugin_that_goes_finds_it_gone(host: PluginHost) -> None:
    async with host.running():
        host.drop("parrot", component("echo"))
        plugin = await host.until("parrot", "loaded")
        await host.catalogue.remove("parrot", purge=False)
        for work in (
            host.catalogue._decide(plugin, {"memory": True}),
            host.catalogue._disable(plugin),
            host.catalogue._enable(plugin),
        ):
            with pytest.raises(NotFoundError, match="was removed meanwhile"):
                await work
        assert await known(host) == []


async def test_a_call_that_fails_while_the_store_forgets_leaves_no_quarantine_to_the_next_of_its_name(
    host: PluginHost,
) -> None:
    async with host.running():
        host.drop("parrot", component("trap"))
        await host.until("parrot", "loaded")
        await until_known(host, "plugin_generations", "tool_holders")
        for _ in range(4):
            await host.call("run")
        async with busy_store(host):
            removing = asyncio.create_task(host.catalogue.remove("parrot", purge=False))
            await eventually(lambda: "parrot.wasm" not in files(host))
            assert (await host.call("run")).error is not None
        await removing
        assert await known(host) == []


async def test_versions_that_wait_to_be_written_while_the_store_forgets_leave_nothing(
    host: PluginHost,
) -> None:
    async with host.running():
        host.drop("parrot", component("adder"))
        await host.until("parrot", "loaded")
        await until_known(host, "plugin_generations", "tool_holders")
        async with busy_store(host):
            for number, version in ((2, "counter"), (3, "echo")):
                host.drop("parrot", component(version))
                await eventually(lambda number=number: host.plugin("parrot").number == number)
            removing = asyncio.create_task(host.catalogue.remove("parrot", purge=False))
            await eventually(lambda: "parrot.wasm" not in files(host))
        await removing
        assert await known(host) == []


@pytest.mark.parametrize("purge", [False, True])
async def test_a_removal_that_a_kill_cut_short_is_finished_at_the_next_start(
    host: PluginHost,
    purge: bool,  # noqa: FBT001
) -> None:
    async with host.running():
        path = package(host.directory, "parrot", more=ASKS)
        await trusted(host)
    source = source_at(path)
    assert source is not None
    take_out(source, "parrot", purge=purge)  # and killed before the store forgot
    package(host.directory, "parrot", "2.0.0", more=ASKS)
    async with host.running():
        plugin = await host.until("parrot", "error", "memory")
        assert plugin.version == "2.0.0"
        assert await known(host) == ([] if purge else ["plugin_kv"])
        assert files(host) == ["parrot-2.0.0.prxplugin"]


async def test_a_removal_that_had_not_moved_anything_yet_costs_no_trust(host: PluginHost) -> None:
    async with host.running():
        package(host.directory, "parrot", more=ASKS)
        await trusted(host)
    room = host.directory / ".prx-gone.0123456789abcdef"
    (room / "files").mkdir(parents=True)
    (room / "note").write_text("keep the data of parrot")
    async with host.running():
        await host.until("parrot", "disabled")
        assert "plugin_grants" in await known(host)
        await eventually(lambda: files(host) == ["parrot-1.2.0.prxplugin"])
