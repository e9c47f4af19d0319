"""What is kept of deliveries, and for how long."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from prx.core.ids import iso_utc, now_utc
from prx.runtime.migrations import migrate
from prx.webhooks import deliveries, table
from prx.webhooks.deliveries import MAX_FINISHED, MAX_READ, Result
from prx.webhooks.hook import Hook, Outcome
from prx.webhooks.outbox import Happening, HookOutbox
from prx.webhooks.table import SealedKeys

NOW = now_utc()
LONG_AGO = iso_utc(NOW - timedelta(days=30))


class Hooked:
    """A hook that wants everything, over a database in memory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        hook = Hook(0, "hook_1", "https://example.com", ("*",), "api", iso_utc(NOW), active=True)
        self.hook = table.insert(connection, hook, SealedKeys("sealed"))
        self.number = self.hook.number

    def happen(self, times: int, *, days_ago: int = 0) -> None:
        at = NOW - timedelta(days=days_ago)
        HookOutbox(lambda _: None).put_all(
            self.connection, [Happening("session.created", {"n": n}, at) for n in range(times)]
        )

    def deliver(self, count: int) -> None:
        """Have the oldest `count` that wait delivered."""
        while count > 0:
            pending = deliveries.turn(self.connection, [], {self.number: 0})[self.number][:count]
            outcome = Outcome(iso_utc(NOW), delivered=True, status=200)
            for one in pending:
                deliveries.write(self.connection, Result(self.number, one.event, "delivered", 1, outcome))
            count -= len(pending)

    def prune(self, *, max_backlog: int = 10_000, before: str = LONG_AGO) -> int:
        """Prune to the end; return how many it still waited for."""
        lost, more = 0, True
        while more:
            some, more = deliveries.prune(
                self.connection, self.number, max_backlog=max_backlog, before=before
            )
            lost += some
        return lost

    def left(self, state: str) -> int:
        return deliveries.page(self.connection, self.number, state, 1, 0)[1]  # type: ignore[arg-type]

    def events(self) -> int:
        return int(self.connection.execute("SELECT count(*) FROM hook_events").fetchone()[0])


@pytest.fixture
def hooked() -> Iterator[Hooked]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, Path("memory"))
        yield Hooked(connection)


def test_what_is_next_comes_in_order_and_in_small_pieces(hooked: Hooked) -> None:
    hooked.happen(MAX_READ + 3)
    first = deliveries.turn(hooked.connection, [], {hooked.number: 0})[hooked.number]
    rest = deliveries.turn(hooked.connection, [], {hooked.number: first[-1].event})[hooked.number]
    assert (len(first), len(rest)) == (MAX_READ, 3)
    numbers = [pending.event for pending in (*first, *rest)]
    assert numbers == sorted(numbers)


def test_of_what_is_over_the_newest_are_kept_with_their_events(hooked: Hooked) -> None:
    hooked.happen(MAX_FINISHED + 700)
    hooked.deliver(MAX_FINISHED + 600)
    assert hooked.prune() == 0
    assert (hooked.left("delivered"), hooked.left("pending")) == (MAX_FINISHED, 100)
    assert hooked.events() == MAX_FINISHED + 100


def test_a_backlog_that_is_too_long_loses_its_oldest_and_counts_them(hooked: Hooked) -> None:
    hooked.happen(1200)
    assert hooked.prune(max_backlog=100) == 1100
    assert hooked.left("pending") == 100
    assert table.load(hooked.connection)[0][0].lost == 1100
    (next_one, *_) = deliveries.turn(hooked.connection, [], {hooked.number: 0})[hooked.number]
    assert b'"n":1100' in next_one.body


def test_what_is_too_old_goes_and_counts_where_it_was_waited_for(hooked: Hooked) -> None:
    hooked.happen(10, days_ago=9)
    hooked.deliver(4)
    hooked.happen(5)
    assert hooked.prune(before=iso_utc(NOW - timedelta(days=7))) == 6
    assert (hooked.left("delivered"), hooked.left("pending")) == (0, 5)
    assert hooked.events() == 5


def test_an_event_stays_for_as_long_as_any_hook_has_its_delivery(hooked: Hooked) -> None:
    other = Hook(0, "hook_2", "https://example.com", ("*",), "api", iso_utc(NOW), active=True)
    number = table.insert(hooked.connection, other, SealedKeys("sealed")).number
    hooked.happen(700)
    while deliveries.forget(hooked.connection, number):
        continue
    assert hooked.events() == 700
    table.remove(hooked.connection, hooked.hook)
    assert table.removed(hooked.connection) == [hooked.number]
    while deliveries.forget(hooked.connection, hooked.number):
        continue
    assert (hooked.events(), table.removed(hooked.connection)) == (0, [])


def test_a_failure_counts_unless_somebody_had_the_event_tried_afresh_meanwhile(hooked: Hooked) -> None:
    hooked.happen(1)
    (pending,) = deliveries.turn(hooked.connection, [], {hooked.number: 0})[hooked.number]
    failed = Outcome(iso_utc(NOW), delivered=False, status=500)
    result = Result(hooked.number, pending.event, "pending", 1, failed, 4_000_000_000_000, pending.round)
    deliveries.try_again(hooked.connection, hooked.number)
    assert not deliveries.write(hooked.connection, result)
    (pending,) = deliveries.turn(hooked.connection, [], {hooked.number: 0})[hooked.number]
    assert (pending.attempts, pending.next_try_ms) == (0, 0)
    assert deliveries.write(hooked.connection, result._replace(round=pending.round))
    delivered = Outcome(iso_utc(NOW), delivered=True, status=200)
    deliveries.try_again(hooked.connection, hooked.number)
    assert deliveries.write(hooked.connection, result._replace(state="delivered", outcome=delivered))
    assert hooked.left("delivered") == 1
