"""The store's schema, one numbered step after the other. A step that was released is never edited."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from prx.core.errors import PrxError

MIGRATIONS: Sequence[Sequence[str]] = (
    (
        """
        CREATE TABLE plugin_kv (
            plugin TEXT NOT NULL,
            key TEXT NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (plugin, key)
        ) WITHOUT ROWID
        """,
        "CREATE TABLE plugin_state (name TEXT PRIMARY KEY, disabled INTEGER NOT NULL DEFAULT 0)",
        """
        CREATE TABLE plugin_grants (
            plugin TEXT NOT NULL,
            permission TEXT NOT NULL,
            allowed INTEGER NOT NULL,
            PRIMARY KEY (plugin, permission)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE plugin_denials (
            plugin TEXT NOT NULL,
            permission TEXT NOT NULL,
            operation TEXT NOT NULL,
            count INTEGER NOT NULL,
            first_at TEXT NOT NULL,
            last_at TEXT NOT NULL,
            PRIMARY KEY (plugin, permission, operation)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE plugin_quarantine (
            plugin TEXT PRIMARY KEY,
            reason TEXT NOT NULL,
            since TEXT NOT NULL,
            until TEXT NOT NULL,
            pauses INTEGER NOT NULL
        )
        """,
        "CREATE TABLE tool_holders (tool TEXT PRIMARY KEY, plugin TEXT NOT NULL)",
        """
        CREATE TABLE memory_entries (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            text TEXT NOT NULL,
            category TEXT NOT NULL,
            importance REAL NOT NULL,
            created_at TEXT NOT NULL
        )
        """,
        "CREATE VIRTUAL TABLE memory_index USING fts5 (text, content = memory_entries, content_rowid = number)",
        """
        CREATE TRIGGER memory_added AFTER INSERT ON memory_entries BEGIN
            INSERT INTO memory_index (rowid, text) VALUES (new.number, new.text);
        END
        """,
        """
        CREATE TRIGGER memory_removed AFTER DELETE ON memory_entries BEGIN
            INSERT INTO memory_index (memory_index, rowid, text) VALUES ('delete', old.number, old.text);
        END
        """,
    ),
    (
        "ALTER TABLE plugin_grants ADD COLUMN covers TEXT",
        "ALTER TABLE plugin_denials ADD COLUMN allow_with TEXT NOT NULL DEFAULT ''",
    ),
    (
        """
        CREATE TABLE plugin_generations (
            plugin TEXT NOT NULL,
            number INTEGER NOT NULL,
            version TEXT NOT NULL,
            digest TEXT NOT NULL,
            identity TEXT NOT NULL,
            manifest TEXT,
            signature BLOB,
            loaded_at TEXT NOT NULL,
            state TEXT NOT NULL,
            reason TEXT,
            before INTEGER,
            PRIMARY KEY (plugin, number)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE plugin_rollbacks (
            plugin TEXT PRIMARY KEY,
            passed_over TEXT NOT NULL,
            left INTEGER NOT NULL,
            goal INTEGER NOT NULL,
            reason TEXT NOT NULL,
            at TEXT NOT NULL,
            automatic INTEGER NOT NULL
        )
        """,
    ),
    (
        """
        CREATE TABLE sessions (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            channel TEXT NOT NULL,
            user_id TEXT NOT NULL,
            created_at TEXT NOT NULL,
            last_activity TEXT NOT NULL,
            ended_at TEXT,
            turn_count INTEGER NOT NULL DEFAULT 0,
            input_tokens INTEGER NOT NULL DEFAULT 0,
            output_tokens INTEGER NOT NULL DEFAULT 0,
            metadata TEXT NOT NULL
        )
        """,
        "CREATE INDEX sessions_open ON sessions (last_activity, channel) WHERE ended_at IS NULL",
        "CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL",
    ),
    (
        """
        CREATE TABLE hooks (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            url TEXT NOT NULL,
            events TEXT NOT NULL,
            origin TEXT NOT NULL,
            created_at TEXT NOT NULL,
            active INTEGER NOT NULL,
            reason TEXT,
            since TEXT,
            lost INTEGER NOT NULL DEFAULT 0,
            secret TEXT NOT NULL,
            secret_before TEXT,
            secret_before_until TEXT,
            removed INTEGER NOT NULL DEFAULT 0
        )
        """,
        # Who is to get an event that happens now; a hook that gets nothing has no rows here.
        "CREATE TABLE hook_wants (event TEXT, hook INTEGER, PRIMARY KEY (event, hook)) WITHOUT ROWID",
        """
        CREATE TABLE hook_events (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            event TEXT NOT NULL,
            at TEXT NOT NULL,
            body BLOB NOT NULL
        )
        """,
        """
        CREATE TABLE hook_deliveries (
            hook INTEGER NOT NULL,
            event INTEGER NOT NULL,
            state TEXT NOT NULL DEFAULT 'pending',
            attempts INTEGER NOT NULL DEFAULT 0,
            last_attempt_at TEXT,
            status INTEGER,
            latency_ms INTEGER,
            error TEXT,
            excerpt TEXT,
            next_try_ms INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (hook, event)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX hook_deliveries_pending ON hook_deliveries (hook, event) WHERE state = 'pending'",
        "CREATE INDEX hook_deliveries_of_event ON hook_deliveries (event)",
        # An event is kept for as long as any hook's delivery of it is.
        """
        CREATE TRIGGER hook_delivery_removed AFTER DELETE ON hook_deliveries BEGIN
            DELETE FROM hook_events WHERE number = old.event
                AND NOT EXISTS (SELECT 1 FROM hook_deliveries WHERE event = old.event);
        END
        """,
    ),
    ("CREATE TABLE mcp_disabled (name TEXT PRIMARY KEY) WITHOUT ROWID",),
    (
        """
        CREATE TABLE session_messages (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            session INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            created_at TEXT NOT NULL,
            state TEXT NOT NULL,
            key TEXT,
            fingerprint BLOB,
            answer INTEGER,
            reply_to TEXT,
            details TEXT
        )
        """,
        "CREATE INDEX session_messages_in_order ON session_messages (session, number)",
        "CREATE UNIQUE INDEX session_messages_once ON session_messages (session, key) WHERE key IS NOT NULL",
        "CREATE INDEX session_messages_open ON session_messages (number) WHERE state = 'open'",
    ),
    (
        "ALTER TABLE sessions ADD COLUMN cost_usd REAL NOT NULL DEFAULT 0",
        """
        CREATE TABLE daily_usage (
            day TEXT PRIMARY KEY,
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            cost_usd REAL NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    ("ALTER TABLE hook_deliveries ADD COLUMN round INTEGER NOT NULL DEFAULT 0",),
    (
        "ALTER TABLE memory_entries ADD COLUMN owner TEXT",
        "CREATE INDEX memory_entries_by_age ON memory_entries (created_at)",
    ),
    (
        "ALTER TABLE sessions ADD COLUMN summary TEXT",
        "ALTER TABLE sessions ADD COLUMN summary_through INTEGER NOT NULL DEFAULT 0",
    ),
    (
        """
        CREATE TABLE channel_cursors (
            channel TEXT PRIMARY KEY,
            cursor TEXT NOT NULL,
            saved_at TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    (
        "CREATE TABLE mcp_state (name TEXT PRIMARY KEY, disabled INTEGER NOT NULL DEFAULT 0)",
        "INSERT INTO mcp_state SELECT name, 1 FROM mcp_disabled",
        "DROP TABLE mcp_disabled",
    ),
    (
        """
        CREATE TABLE session_rounds (
            message INTEGER NOT NULL REFERENCES session_messages (number) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            details TEXT NOT NULL,
            PRIMARY KEY (message, number)
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE channel_seen (
            number INTEGER PRIMARY KEY,
            channel TEXT NOT NULL,
            event_id TEXT NOT NULL,
            seen_at TEXT NOT NULL,
            UNIQUE (channel, event_id)
        )
        """,
        "CREATE INDEX channel_seen_in_order ON channel_seen (channel, number)",
        """
        CREATE TABLE channel_inbox (
            number INTEGER PRIMARY KEY,
            channel TEXT NOT NULL,
            lane TEXT NOT NULL,
            address TEXT NOT NULL,
            user_id TEXT NOT NULL,
            content TEXT NOT NULL,
            attachments TEXT NOT NULL,
            reply TEXT,
            session TEXT,
            key TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            draft TEXT,
            sent INTEGER NOT NULL DEFAULT 0,
            received_at TEXT NOT NULL
        )
        """,
        "CREATE INDEX channel_inbox_in_order ON channel_inbox (channel, lane, number)",
        """
        CREATE TABLE channel_conversations (
            channel TEXT NOT NULL,
            lane TEXT NOT NULL,
            session TEXT NOT NULL,
            PRIMARY KEY (channel, lane)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE channel_pairings (
            code TEXT PRIMARY KEY,
            channel TEXT NOT NULL,
            sender TEXT NOT NULL,
            name TEXT NOT NULL,
            address TEXT NOT NULL,
            asked_at TEXT NOT NULL,
            UNIQUE (channel, sender)
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE memory_vectors (
            entry INTEGER PRIMARY KEY REFERENCES memory_entries (number) ON DELETE CASCADE,
            model TEXT NOT NULL,
            owner TEXT,
            signs BLOB NOT NULL,
            vector BLOB NOT NULL
        )
        """,
        # With all that is looked at for each entry: the vectors themselves are many times as large.
        "CREATE INDEX memory_vectors_by_owner ON memory_vectors (model, owner, entry, signs)",
    ),
    (
        """
        CREATE TABLE sampling_usage (
            day TEXT,
            source TEXT,
            tokens INTEGER NOT NULL,
            PRIMARY KEY (day, source)
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE channel_files (
            entry INTEGER NOT NULL REFERENCES channel_inbox (number) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            name TEXT NOT NULL,
            media_type TEXT NOT NULL,
            content BLOB NOT NULL,
            PRIMARY KEY (entry, number)
        )
        """,
    ),
    ("ALTER TABLE channel_inbox ADD COLUMN begins_anew INTEGER NOT NULL DEFAULT 0",),
)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date, all steps or none. `connection` is in autocommit mode.

    Raises:
        PrxError: the file was written by a newer PRX.
        sqlite3.Error: SQLite could not; nothing is changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise PrxError(
                f"the store {path} has schema version {version}, and this PRX knows versions up to "
                f"{len(MIGRATIONS)}: start the newer PRX that wrote it, or use another daemon.data_dir"
            )
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.execute(statement)
        if version < len(MIGRATIONS):  # otherwise nothing is written: a daemon starts on a full disk too
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
