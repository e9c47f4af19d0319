"""Events that must reach whoever asked for them, written where they become true."""

import sqlite3
from collections.abc import Mapping
from typing import Any, Literal, Protocol

StoredEvent = Literal["session.created", "session.terminated", "message.received", "message.sent"]
"""Events whose facts are in the store; all others come from the bus."""


class Outbox(Protocol):
    """Takes events inside the jobs of the store, so that the fact and its event are on disk together or not at all."""

    def put(self, connection: sqlite3.Connection, event: StoredEvent, data: Mapping[str, Any]) -> None:
        """Note that `event` happened, in the job that makes it true; nothing is sent before that is on disk.

        Costs one indexed look where nobody asked for the event. Call it in the store's thread, with the job's own
        connection; what it raises (`sqlite3.Error`) must end the job.

        Args:
            connection: the job's.
            event: the event's name.
            data: a JSON object, the event's `data`; of one above 64 KiB the long texts are cut.
        """


class NoOutbox:
    """An outbox for where nobody can ask for events."""

    def put(self, connection: sqlite3.Connection, event: StoredEvent, data: Mapping[str, Any]) -> None:
        """Note nothing."""
