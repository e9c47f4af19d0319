"""What is kept of messages that wait, and of users who do: bounded, and gone in time."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from prx.channels import inbox_table, pairing
from prx.channels.cursors import Cursors
from prx.channels.inbox_table import Address, Entry
from prx.channels.pairing import Pairings
from prx.core.channel import IncomingMessage
from prx.core.errors import NotFoundError, PrxError, UnavailableError
from prx.core.ids import now_utc
from prx.runtime.store import Store

HERE = Address("7", None, None)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


def entry(lane: str = "a", channel: str = "one") -> Entry:
    return Entry(channel=channel, lane=lane, address=HERE, user_id="ada", content="hello", key=lane)


async def test_a_thousand_ids_of_each_channel_are_known(store: Store) -> None:
    now = now_utc()
    known = inbox_table.MAX_SEEN
    new = await store.run(
        lambda db: [inbox_table.see(db, "one", str(number), now) for number in range(known + 1)]
    )
    assert all(new)
    assert await store.run(lambda db: inbox_table.see(db, "two", "7", now))
    assert not await store.run(lambda db: inbox_table.see(db, "one", str(known), now))
    assert not await store.run(lambda db: inbox_table.see(db, "one", "1", now))
    assert await store.run(lambda db: inbox_table.see(db, "one", "0", now))
    assert await store.run(lambda db: inbox_table.see(db, "one", None, now))


async def test_lanes_and_all_of_them_together_are_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_table, "MAX_IN_LANE", 2)
    monkeypatch.setattr(inbox_table, "MAX_IN_ALL", 3)
    now = now_utc()
    took = await store.run(lambda db: [inbox_table.put(db, entry(lane), now) for lane in "aaab"])
    assert took == [True, True, False, True]
    with pytest.raises(UnavailableError, match="3 messages wait"):
        await store.run(lambda db: inbox_table.put(db, entry("c"), now))


async def test_that_a_turn_had_begun_to_act_is_told_unless_there_is_an_answer(store: Store) -> None:
    def job(db: sqlite3.Connection) -> list[str | None]:
        told = []
        for lane in "ab":
            inbox_table.put(db, entry(lane), now_utc())
            waiting = inbox_table.first(db, "one", lane)
            assert waiting is not None
            if lane == "b":
                inbox_table.keep_answer(db, waiting.number, "done", [])
            inbox_table.note_act(db, waiting.number, "cut off")
            waiting = inbox_table.first(db, "one", lane)
            assert waiting is not None
            told.append(waiting.reply)
        return told

    assert await store.run(job) == ["cut off", "done"]


async def test_what_waited_for_a_week_is_forgotten(store: Store) -> None:
    now = now_utc()
    await store.run(lambda db: inbox_table.put(db, entry("old"), now - timedelta(days=7, seconds=1)))
    await store.run(lambda db: inbox_table.put(db, entry("new"), now))
    assert await store.run(lambda db: inbox_table.lanes(db, now)) == [("one", "new")]


async def test_a_code_is_good_for_an_hour_and_one_for_each_who_asks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "_MAX_OPEN", 2)
    pairings = Pairings(store)

    async def ask(sender: str) -> str | None:
        return await pairings.ask("one", IncomingMessage(conversation="7", sender=sender, text="/pair"), HERE)

    first = await ask("1")
    assert first is not None
    assert await ask("1") == first
    assert await ask("2") not in (None, first)
    assert await ask("3") is None
    later = now_utc() + pairing.VALID_FOR + timedelta(seconds=1)
    monkeypatch.setattr(pairing, "now_utc", lambda: later)
    assert await pairings.list() == []
    with pytest.raises(NotFoundError, match="one is good for 1 h"):
        await pairings.find(first)
    assert await ask("3") is not None


async def test_a_cursor_is_kept_for_each_channel_and_can_be_too_old(store: Store) -> None:
    cursors = Cursors(store)
    assert await cursors.load("one") is None
    await cursors.save("one", "17")
    await cursors.save("two", "1")
    await cursors.save("one", "18")
    assert (await cursors.load("one"), await cursors.load("one", 60)) == ("18", "18")
    assert await cursors.load("one", -60) is None
    with pytest.raises(PrxError, match="may have 65536"):
        await cursors.save("one", "x" * 65537)
