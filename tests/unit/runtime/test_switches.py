"""What the operator disabled is remembered, plugins and MCP servers apart."""

import sqlite3
from contextlib import closing
from pathlib import Path

from prx.runtime.migrations import MIGRATIONS
from prx.runtime.store import Store
from prx.runtime.switches import Switches

_SERVERS_APART = next(
    number for number, step in enumerate(MIGRATIONS) if any("INTO mcp_state" in each for each in step)
)


async def test_what_was_disabled_is_remembered_until_it_is_enabled_or_forgotten(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "prx.db")
    try:
        plugins = Switches(store, "plugin_state")
        for name in ("a", "b", "c"):
            await plugins.set(name, disabled=True)
        await plugins.set("b", disabled=False)
        await plugins.set("b", disabled=False)
        again, servers = Switches(store, "plugin_state"), Switches(store, "mcp_state")
        await again.load()
        await servers.load()
        assert [name for name in ("a", "b", "c") if again.disabled(name)] == ["a", "c"]
        assert not servers.disabled("a")
        again.forget("a")
        again.forget("nobody")
        assert not again.disabled("a")
    finally:
        await store.aclose()


async def test_servers_that_an_older_store_holds_as_disabled_stay_so(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "prx.db")) as connection:
        for step in MIGRATIONS[:_SERVERS_APART]:
            for statement in step:
                connection.execute(statement)
        connection.execute("INSERT INTO mcp_disabled VALUES ('files')")
        connection.execute(f"PRAGMA user_version = {_SERVERS_APART}")
        connection.commit()
    store = await Store.open(tmp_path / "prx.db")
    try:
        servers = Switches(store, "mcp_state")
        await servers.load()
        assert servers.disabled("files")
    finally:
        await store.aclose()
