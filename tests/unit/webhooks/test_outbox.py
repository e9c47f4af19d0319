"""The outbox: an event is there for exactly those who want it, with the fact that it tells of or not at all."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.ids import iso_utc, new_id, now_utc
from prx.runtime.migrations import migrate
from prx.webhooks import table
from prx.webhooks.hook import Hook
from prx.webhooks.outbox import MAX_DATA_BYTES, Happening, HookOutbox, body_of
from prx.webhooks.table import SealedKeys

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, Path("memory"))
        yield connection


def add(connection: sqlite3.Connection, *events: str, active: bool = True, reason: str | None = None) -> Hook:
    hook = Hook(0, new_id("hook"), "https://example.com", events, "api", iso_utc(now_utc()), active, reason)
    return table.insert(connection, hook, SealedKeys("sealed"))


def queued(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    return connection.execute(
        "SELECT hook, event.event FROM hook_deliveries AS delivery JOIN hook_events AS event "
        "ON event.number = delivery.event ORDER BY hook, event.number"
    ).fetchall()


def test_an_event_is_queued_for_those_who_want_it_and_they_are_named(connection: sqlite3.Connection) -> None:
    created = add(connection, "session.created")
    everything = add(connection, "*", "session.created")
    ended = add(connection, "session.completed")
    add(connection, "session.created", active=False)
    failing = add(connection, "session.created", active=False, reason="it failed")
    noticed: list[int] = []
    outbox = HookOutbox(noticed.extend)
    outbox.put(connection, "session.created", {})
    outbox.put(connection, "session.terminated", {})
    outbox.put(connection, "message.sent", {})
    assert queued(connection) == [
        (created.number, "session.created"),
        (everything.number, "session.created"),
        (everything.number, "session.terminated"),
        (everything.number, "message.sent"),
        (ended.number, "session.terminated"),
        (failing.number, "session.created"),
    ]
    assert set(noticed) == {created.number, everything.number, ended.number, failing.number}


def test_an_event_goes_with_the_fact_that_is_undone(connection: sqlite3.Connection) -> None:
    add(connection, "*")
    connection.execute("BEGIN")
    HookOutbox(lambda _: None).put(connection, "session.created", {})
    connection.execute("ROLLBACK")
    assert queued(connection) == []


def test_an_event_that_nobody_wants_is_not_stored(connection: sqlite3.Connection) -> None:
    noticed: list[int] = []
    HookOutbox(noticed.extend).put(connection, "session.created", {})
    assert connection.execute("SELECT count(*) FROM hook_events").fetchone() == (0,)
    assert noticed == []


@given(data=st.dictionaries(st.text(), JSON, max_size=6))
def test_whatever_happened_is_told_as_json_that_everybody_reads_alike(data: dict[str, Any]) -> None:
    body = body_of("evt_1", Happening("tool.executed", data, now_utc()))
    assert body.isascii()
    told = json.loads(body, parse_constant=pytest.fail)
    assert list(told) == ["event", "timestamp", "data", "id"]
    assert told["id"] == "evt_1"
    assert set(told["data"]) == set(data)


@given(st.integers(min_value=MAX_DATA_BYTES // 2, max_value=4 * MAX_DATA_BYTES))
def test_what_is_too_large_is_cut_and_says_so(size: int) -> None:
    data = {"id": "sess_1", "content": "é" * size, "more": ["x" * size], "last": 7}
    told = json.loads(body_of("evt_1", Happening("message.received", data, now_utc())))["data"]
    assert told["truncated"] is True
    assert (told["id"], told["last"]) == ("sess_1", 7)
    assert told["content"] == "é" * 8192
    assert len(json.dumps(told)) <= MAX_DATA_BYTES
