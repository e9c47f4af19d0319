"""The keys of encrypted rooms are on disk before anything leaves that they have to do with."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web
from nio import AsyncClientConfig

from prx.channels.adapters.matrix.errors import translated
from prx.channels.adapters.matrix.keys import Client, KeyStore
from prx.core.errors import UnavailableError

_DATABASE = "@bot:here_DEVICE.db"


def accounts_on_disk(directory: Path) -> int:
    """Return how many accounts the database has without its log: what is left when the machine loses its power."""
    copy = directory / "copy.db"
    shutil.copy(directory / _DATABASE, copy)
    with closing(sqlite3.connect(copy)) as connection:
        [(is_there,)] = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'accounts'")
        return connection.execute("SELECT count(*) FROM accounts").fetchone()[0] if is_there else 0


@asynccontextmanager
async def a_client(url: str, directory: Path) -> AsyncIterator[Client]:
    config = AsyncClientConfig(store=KeyStore, encryption_enabled=True)
    client = Client(url, "@bot:here", "DEVICE", store_path=str(directory), config=config)
    client.restore_login("@bot:here", "DEVICE", "token")
    try:
        yield client
    finally:
        await client.close()
        client.store.database.close()


async def test_a_request_leaves_once_the_keys_are_on_disk(tmp_path: Path) -> None:
    async def look(_request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(accounts_on_disk, tmp_path))

    app = web.Application()
    app.router.add_get("/", look)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with a_client(f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path) as client:
            assert accounts_on_disk(tmp_path) == 0
            async with await client.send("GET", "/") as answer:
                assert await answer.json() == 1
    finally:
        await runner.cleanup()


async def test_keys_that_cannot_be_kept_are_an_error_that_may_pass(tmp_path: Path) -> None:
    async with a_client("http://127.0.0.1:1", tmp_path) as client:
        client.store.database_path = str(tmp_path / "none" / "keys.db")
        why = "the keys of encrypted rooms cannot be kept"
        with pytest.raises(UnavailableError, match=why), translated("http://127.0.0.1:1"):
            await client.settle()
