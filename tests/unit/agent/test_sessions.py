"""The life of a session, by a clock that the test sets."""

import asyncio
import re
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.agent import session_table
from prx.core.errors import ConflictError, NotFoundError, UnavailableError
from prx.core.session import SessionStatus
from tests.support.examples import costly
from tests.support.sessions import Life, living, looking_after
from tests.support.waiting import eventually

IDLE, TIMEOUT = 900, 3600
DAY = 86400
STATUSES: tuple[SessionStatus, ...] = ("active", "idle", "terminated")


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with living(tmp_path / "prx.db") as life:
        yield life


async def statuses(life: Life) -> dict[SessionStatus, list[str]]:
    """Return the ids that each status lists."""
    pages = {status: await life.sessions.list(status=status) for status in STATUSES}
    for page in pages.values():
        assert page.total == len(page.sessions)
    return {status: [session.id for session in page.sessions] for status, page in pages.items()}


async def test_a_new_session_is_active_and_has_what_it_was_given(life: Life) -> None:
    created = await life.sessions.create("api", "user_123", {"source": "web-app", "n": [1, "ü"]})
    assert re.fullmatch(r"sess_[A-Za-z0-9_-]{12,}", created.id)
    assert created.status == "active"
    assert created.created_at == life.now.replace(microsecond=123000)
    assert await life.sessions.get(created.id) == created
    [listed] = (await life.sessions.list()).sessions
    assert (listed.id, listed.channel, listed.user_id) == (created.id, "api", "user_123")
    assert life.events() == [
        ("prx.session.created", {"id": created.id, "channel": "api", "user_id": "user_123"})
    ]
    assert await life.notes() == [("session.created", f"{created.id} None")]


async def test_without_activity_it_becomes_idle_and_then_is_over(life: Life) -> None:
    session = await life.sessions.create("api", "u", {})
    for secs, status in ((IDLE - 0.001, "active"), (0.001, "idle"), (TIMEOUT - IDLE - 0.001, "idle")):
        life.passes(secs)
        assert (await life.sessions.get(session.id)).status == status
        assert life.sessions.active == (status == "active")
        assert (await statuses(life))[status] == [session.id]
    life.passes(0.001)
    assert (await life.sessions.get(session.id)).status == "terminated"
    assert await statuses(life) == {"active": [], "idle": [], "terminated": [session.id]}


async def test_the_end_of_its_time_is_told_once(life: Life) -> None:
    session = await life.sessions.create("api", "u", {})
    life.events()
    life.passes(TIMEOUT)
    assert await life.sessions.catch_up()
    assert await life.sessions.catch_up()
    await life.restart()
    assert await life.sessions.catch_up()
    facts = {"id": session.id, "channel": "api", "user_id": "u", "reason": "timeout"}
    assert life.events() == [("prx.session.terminated", facts)]
    assert ("session.terminated", f"{session.id} timeout") in await life.notes()


async def test_one_that_ran_out_while_the_daemon_was_down_is_never_shown_as_active(life: Life) -> None:
    session = await life.sessions.create("api", "u", {})
    life.passes(TIMEOUT)
    await life.restart()
    assert life.sessions.active == 0
    assert await statuses(life) == {"active": [], "idle": [], "terminated": [session.id]}
    with pytest.raises(ConflictError):
        await life.sessions.terminate(session.id)


async def test_who_ends_a_session_ends_it_for_good(life: Life) -> None:
    session = await life.sessions.create("api", "u", {})
    life.events()
    await life.sessions.terminate(session.id)
    assert life.sessions.active == 0
    assert (await life.sessions.get(session.id)).status == "terminated"
    facts = {"id": session.id, "channel": "api", "user_id": "u", "reason": "request"}
    assert life.events() == [("prx.session.terminated", facts)]
    with pytest.raises(ConflictError, match=f"Session {session.id} is terminated already"):
        await life.sessions.terminate(session.id)
    life.passes(TIMEOUT)
    assert await life.sessions.catch_up()
    assert life.events() == []
    ended = [note for note in await life.notes() if note[0] == "session.terminated"]
    assert ended == [("session.terminated", f"{session.id} request")]


async def test_an_unknown_one_is_not_found(life: Life) -> None:
    with pytest.raises(NotFoundError, match="Session sess_xyz not found"):
        await life.sessions.get("sess_xyz")
    with pytest.raises(NotFoundError, match="Session sess_xyz not found"):
        await life.sessions.terminate("sess_xyz")
    assert await life.notes() == []


async def test_changed_limits_act_on_sessions_that_are_there(life: Life) -> None:
    session = await life.sessions.create("api", "u", {})
    life.passes(100)
    life.configure(session_idle_secs=100)
    assert (await life.sessions.get(session.id)).status == "idle"
    life.configure(session_idle_secs=101)
    assert (await life.sessions.get(session.id)).status == "active"
    life.configure(session_timeout_secs=100)
    assert await life.sessions.catch_up()
    assert (await life.sessions.get(session.id)).status == "terminated"


async def test_a_longer_timeout_does_not_bring_back_what_is_over(life: Life) -> None:
    over = await life.sessions.create("api", "u", {})
    life.passes(TIMEOUT)
    there = await life.sessions.create("api", "u", {})
    life.configure(session_timeout_secs=10 * TIMEOUT)
    assert (await statuses(life))["terminated"] == [over.id]
    assert await life.sessions.catch_up()
    assert (await statuses(life))["terminated"] == [over.id]
    life.passes(9 * TIMEOUT)
    assert (await life.sessions.get(there.id)).status == "idle"


async def test_a_timeout_shorter_than_the_idle_time_ends_active_sessions(life: Life) -> None:
    life.configure(session_timeout_secs=10, session_idle_secs=20)
    await life.restart()
    session = await life.sessions.create("api", "u", {})
    life.passes(9.999)
    assert (life.sessions.active, (await statuses(life))["active"]) == (1, [session.id])
    life.passes(0.001)
    assert (life.sessions.active, (await statuses(life))["terminated"]) == (0, [session.id])


async def test_active_sessions_are_counted_by_channel(life: Life) -> None:
    assert life.sessions.active_by_channel() == {}
    old = await life.sessions.create("telegram", "u", {})
    life.passes(IDLE / 2)
    await life.sessions.create("telegram", "u", {})
    ended = await life.sessions.create("api", "u", {})
    assert life.sessions.active_by_channel() == {"telegram": 2, "api": 1}
    await life.sessions.terminate(ended.id)
    assert life.sessions.active_by_channel() == {"telegram": 2}
    life.passes(IDLE / 2)
    assert (await life.sessions.get(old.id)).status == "idle"
    assert life.sessions.active_by_channel() == {"telegram": 1}
    await life.restart()
    assert life.sessions.active_by_channel() == {"telegram": 1}


async def test_many_that_are_over_at_once_end_in_small_steps(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_table, "STEP", 2)
    ids = {(await life.sessions.create("api", "u", {})).id for _ in range(5)}
    life.events()
    life.passes(TIMEOUT)
    assert await life.sessions.catch_up()
    assert {facts["id"] for _, facts in life.events()} == ids


async def test_terminated_ones_are_removed_after_their_retention(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prx.agent.sessions._REMOVAL_SECS", 0)
    life.configure(session_retention_days=2, session_timeout_secs=10 * DAY)
    await life.restart()
    first, second, third = [await life.sessions.create("api", "u", {}) for _ in range(3)]
    await life.sessions.terminate(second.id)
    life.passes(DAY)
    await life.sessions.terminate(first.id)
    life.passes(DAY)
    assert await life.sessions.catch_up()
    assert len((await statuses(life))["terminated"]) == 2
    life.passes(0.001)
    assert await life.sessions.catch_up()
    assert await statuses(life) == {"active": [], "idle": [third.id], "terminated": [first.id]}
    life.configure(session_retention_days=1, session_timeout_secs=10 * DAY)
    assert await life.sessions.catch_up()
    assert await statuses(life) == {"active": [], "idle": [third.id], "terminated": []}


async def test_of_too_many_terminated_ones_the_first_to_end_are_removed(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prx.agent.sessions._MAX_TERMINATED", 3)
    monkeypatch.setattr(session_table, "STEP", 2)
    created = [(await life.sessions.create("api", "u", {})).id for _ in range(9)]
    for session_id in created[:8]:
        life.passes(1)
        await life.sessions.terminate(session_id)
    assert await life.sessions.catch_up()
    assert await statuses(life) == {"active": created[8:], "idle": [], "terminated": created[7:4:-1]}


async def test_no_more_are_begun_than_may_be_open(life: Life) -> None:
    life.configure(max_open_sessions=2)
    first, _ = [await life.sessions.create("api", "u", {}) for _ in range(2)]
    assert [problem.unit for problem in life.sessions.problems()] == ["agent.sessions"]
    with pytest.raises(UnavailableError, match="2 are open"):
        await life.sessions.create("api", "u", {})
    since = life.now.replace(microsecond=123000)
    life.passes(1)
    assert [problem.since for problem in life.sessions.problems()] == [since]
    await life.sessions.terminate(first.id)
    assert list(life.sessions.problems()) == []
    await life.sessions.create("api", "u", {})
    assert [problem.since for problem in life.sessions.problems()] == [since + timedelta(seconds=1)]


async def test_the_unit_notices_by_itself_that_time_passes(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@dataclass(frozen=True)
class Modelled:
    """What the simple model knows of a session."""

    id: str
    channel: str
    begun: datetime
    over: bool = False

    def at(self, now: datetime) -> SessionStatus:
        age = (now - self.begun).total_seconds()
        if self.over or age >= TIMEOUT:
            return "terminated"
        return "idle" if age >= IDLE else "active"


OPERATIONS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(["api", "telegram", "ünï 'c\"--"])),
    st.tuples(st.just("terminate"), st.integers(0, 5)),
    st.tuples(st.just("pass"), st.sampled_from([0.001, 1, IDLE / 2, IDLE, TIMEOUT - IDLE, TIMEOUT])),
    st.tuples(st.just("catch up"), st.none()),
    st.tuples(st.just("restart"), st.none()),
)


async def follow(life: Life, steps: list[tuple[str, Any]], page: tuple[int, int]) -> None:
    """Do `steps` here and in a simple model; after each both must say the same."""
    model: list[Modelled] = []
    for what, with_what in steps:
        if what == "create":
            session = await life.sessions.create(with_what, "u", {})
            model.insert(0, Modelled(session.id, with_what, session.created_at))
        elif what == "terminate" and with_what < len(model):
            known = model[with_what]
            try:
                await life.sessions.terminate(known.id)
                assert known.at(life.now) != "terminated"
            except ConflictError:
                assert known.at(life.now) == "terminated"
            model[with_what] = replace(known, over=True)
        elif what == "pass":
            life.passes(with_what)
        elif what == "catch up":
            assert await life.sessions.catch_up()
        elif what == "restart":
            await life.restart()
        await compare(life, model, *page)


async def compare(life: Life, model: list[Modelled], limit: int, offset: int) -> None:
    for status in STATUSES:
        for channel in (None, "api", "ünï 'c\"--"):
            matching = [
                known.id
                for known in model
                if known.at(life.now) == status and channel in (None, known.channel)
            ]
            page = await life.sessions.list(status=status, channel=channel, limit=limit, offset=offset)
            assert [session.id for session in page.sessions] == matching[offset : offset + limit]
            assert page.total == len(matching)
            assert all(session.status == status for session in page.sessions)
    active = [known.channel for known in model if known.at(life.now) == "active"]
    assert life.sessions.active == len(active)
    assert life.sessions.active_by_channel() == {channel: active.count(channel) for channel in active}
    for known in model[:2]:
        assert (await life.sessions.get(known.id)).status == known.at(life.now)


@costly()
@given(st.lists(OPERATIONS, max_size=25), st.tuples(st.integers(1, 3), st.integers(0, 3)))
def test_any_sequence_of_operations_is_as_in_a_simple_model(
    steps: list[tuple[str, Any]], page: tuple[int, int]
) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as home:
            async with living(Path(home) / "prx.db") as life:
                life.now = life.now.replace(microsecond=0)
                await follow(life, steps, page)

    asyncio.run(run())
