"""Sessions whose store refuses or is slow, and the unit that looks after them."""

import asyncio
import sqlite3
import threading
from typing import Any

import pytest

from prx.core.errors import UnavailableError
from tests.support.sessions import TIMEOUT, Life, looking_after, statuses
from tests.support.waiting import eventually


async def test_the_unit_notices_by_itself_that_time_passes(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The look that is waited for comes soon.
    monkeypatch.setattr("prx.agent.sessions._LOOK_SECS", 0.005)
    session = await life.sessions.create("api", "u", {})
    async with looking_after(life.sessions):
        life.passes(TIMEOUT)
        await eventually(lambda: life.heard.queued == 2)
    assert life.events()[1][1]["id"] == session.id


async def test_while_the_store_refuses_nothing_is_told_and_later_it_is_made_up_for(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await life.sessions.create("api", "u", {})
    life.passes(TIMEOUT)
    life.events()
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def refuse(*_: object) -> None:
        raise full

    with monkeypatch.context() as broken:
        broken.setattr(life.sessions._outbox, "put", refuse)
        assert not await life.sessions.catch_up()
        with pytest.raises(UnavailableError, match="free some disk space"):
            await life.sessions.create("api", "u", {})
    assert life.events() == []
    assert await statuses(life) == {"active": [], "idle": [], "terminated": [session.id]}
    assert await life.sessions.catch_up()
    assert [topic for topic, _ in life.events()] == ["prx.session.terminated"]


async def test_the_unit_tries_again_after_the_store_refused(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The look that is waited for comes soon.
    monkeypatch.setattr("prx.agent.sessions._LOOK_SECS", 0.005)
    monkeypatch.setattr("prx.runtime.backoff.Backoff.pause_secs", lambda _: 0.005)
    refusals = 3

    def refuse(*_: Any) -> None:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    await life.sessions.create("api", "u", {})
    monkeypatch.setattr(life.sessions._outbox, "put", refuse)
    life.passes(TIMEOUT)
    async with looking_after(life.sessions):
        await eventually(lambda: life.heard.queued == 2)


class Slow:
    """An outbox that holds the store's thread inside a job until it may go on."""

    def __init__(self) -> None:
        self._entered, self._release = threading.Event(), threading.Event()

    def put(self, *_: object) -> None:
        self._entered.set()
        assert self._release.wait(30)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 30)

    def go_on(self) -> None:
        self._release.set()


@pytest.fixture
def slow(life: Life, monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(life.sessions, "_outbox", slow)
    return slow


async def test_a_session_whose_creator_goes_meanwhile_is_begun_and_told_of_all_the_same(
    life: Life, slow: Slow
) -> None:
    creating = asyncio.ensure_future(life.sessions.create("api", "u", {}))
    await slow.entered()
    creating.cancel()
    await asyncio.wait({creating})
    slow.go_on()
    await life.sessions.aclose()
    assert (life.sessions.active, (await life.sessions.list()).total) == (1, 1)
    assert [topic for topic, _ in life.events()] == ["prx.session.created"]


async def test_a_session_that_was_written_when_nobody_waited_any_more_is_counted_all_the_same(
    life: Life, slow: Slow
) -> None:
    creating = asyncio.ensure_future(life.sessions.create("api", "u", {}))
    await slow.entered()
    # As the store's own limit does it, which a test does not wait for.
    [change] = life.sessions._changes
    change.cancel()
    await asyncio.wait({creating})
    slow.go_on()
    assert (life.sessions.active, (await life.sessions.list()).total) == (0, 1)
    assert await life.sessions.catch_up()
    assert life.sessions.active == 1
