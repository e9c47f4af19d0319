"""The store's promise: an answer means that it is on disk, whatever happens to the process next."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from prx.runtime.store import Store

WRITER = """
import asyncio, sys
from pathlib import Path
from prx.runtime.store import Store

async def write(store, worker):
    number = 0
    while True:
        key = f"{worker}-{number}"
        await store.run(lambda c: c.execute("INSERT INTO plugin_kv VALUES ('p', ?, x'00')", (key,)).close())
        print(key, flush=True)
        number += 1

async def main():
    store = await Store.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(store, worker) for worker in range(8)))

asyncio.run(main())
"""


def acknowledged_before_kill(path: Path, kill_after: int) -> set[str]:
    """Start a writer, kill -9 it after `kill_after` answers, and return every key it had an answer for."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        try:
            lines = [writer.stdout.readline() for _ in range(kill_after)]
        finally:
            writer.kill()
        lines += writer.stdout.readlines()
    return {line.decode().strip() for line in lines if line.endswith(b"\n")}


@pytest.mark.parametrize("kill_after", [1, 37, 400])
async def test_every_acknowledged_write_survives_kill_9(tmp_path: Path, kill_after: int) -> None:
    path = tmp_path / "prx.db"
    acknowledged = await asyncio.to_thread(acknowledged_before_kill, path, kill_after)
    assert len(acknowledged) >= kill_after
    store = await Store.open(path)
    try:

        def keys(connection: sqlite3.Connection) -> set[str]:
            return {key for (key,) in connection.execute("SELECT key FROM plugin_kv")}

        assert acknowledged <= await store.run(keys)
        assert await store.run(lambda c: c.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
    finally:
        await store.aclose()
