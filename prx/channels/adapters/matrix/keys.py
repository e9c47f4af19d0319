"""The keys of encrypted rooms: kept without the event loop waiting for the disk, and exchanged with others."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

from nio import AsyncClient, MegolmEvent
from nio.exceptions import EncryptionError
from nio.store import SqliteStore
from peewee import SqliteDatabase

from prx.channels.adapters.matrix.errors import accepted


class KeyStore(SqliteStore):  # type: ignore[misc]  # the library has no marker that it is typed
    """The library's store in a file, which it writes on the event loop: there a commit waits for no disk.

    `Client.settle` does, in a thread.
    """

    def _create_database(self) -> SqliteDatabase:
        pragmas = {
            "foreign_keys": 1,
            "secure_delete": 1,
            "journal_mode": "wal",
            "synchronous": "normal",
            "wal_autocheckpoint": 0,
        }
        return SqliteDatabase(self.database_path, pragmas=pragmas)


class Client(AsyncClient):  # type: ignore[misc]  # as above
    """The library's client. Nothing leaves it before the keys that it has to do with are on disk."""

    def __init__(self, *args: Any, **more: Any) -> None:
        """See `AsyncClient`."""
        super().__init__(*args, **more)
        self._settling = asyncio.Lock()
        self._settled = 0
        """How many rows had been changed in the store when all of them were on disk."""

    async def send(self, *args: Any, **more: Any) -> Any:
        """See `AsyncClient.send`: each request goes through here."""
        await self.settle()
        return await super().send(*args, **more)

    async def settle(self) -> None:
        """Return once what was kept until now is on disk, whatever happens to the machine.

        Raises:
            sqlite3.Error: it cannot be written.
        """
        async with self._settling:
            if self.store is None:
                return
            changes = self.store.database.connection().total_changes
            if changes != self._settled:
                await asyncio.to_thread(_checkpoint, self.store.database_path)
                self._settled = changes


def _checkpoint(path: str) -> None:
    """Have a database's log be on disk, and its pages in the database as far as nobody reads there."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


async def exchange_keys(client: AsyncClient) -> None:
    """Do what the protocol asks of who reads encrypted rooms."""
    if client.olm is None:
        return
    await client.send_to_device_messages()
    if client.should_upload_keys:
        accepted(await client.keys_upload())
    if client.should_query_keys:
        accepted(await client.keys_query())
    if client.should_claim_keys:
        accepted(await client.keys_claim(client.get_users_for_key_claiming()))


def decrypted(event: Any, client: AsyncClient) -> Any:
    """Return what an event says; itself where it is not encrypted, or there is no key for it."""
    if not isinstance(event, MegolmEvent) or client.olm is None:
        return event
    try:
        return client.decrypt_event(event)
    except EncryptionError:
        return event
