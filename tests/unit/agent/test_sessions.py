"""The life of a session, by a clock that the test sets."""

import re
from datetime import timedelta

import pytest

from prx.agent import session_table
from prx.core.errors import ConflictError, NotFoundError, UnavailableError
from tests.support.sessions import DAY, IDLE, TIMEOUT, Life, statuses


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


async def test_a_session_of_a_clock_that_was_set_back_ends_in_its_time(life: Life) -> None:
    future = [(await life.sessions.create("api", "u", {})).id for _ in range(3)]
    life.passes(-365 * DAY)
    others = [(await life.sessions.create("api", "u", {})).id]
    assert await life.sessions.catch_up()
    session = await life.sessions.get(future[0])
    assert (session.status, session.last_activity) == ("active", life.now.replace(microsecond=123000))
    life.passes(IDLE)
    assert (await statuses(life))["idle"] == [*others, *reversed(future)]
    assert life.sessions.active == 0
    life.passes(TIMEOUT - IDLE)
    assert await life.sessions.catch_up()
    assert len(life.sessions._open) == 0
    assert (await statuses(life))["terminated"] == [*others, *reversed(future)]


async def test_activity_under_a_clock_that_was_set_back_counts_and_so_does_a_restart(life: Life) -> None:
    session = (await life.sessions.create("api", "u", {})).id
    life.passes(-DAY)
    await life.sessions.act(session, lambda *_: None)
    await life.restart()
    assert await life.sessions.catch_up()
    life.passes(TIMEOUT - 1)
    assert (await life.sessions.get(session)).status == "idle"
    await life.sessions.act(session, lambda *_: None)
    assert (await life.sessions.get(session)).status == "active"
    life.passes(TIMEOUT)
    assert (await life.sessions.get(session)).status == "terminated"


async def test_a_clock_that_is_corrected_by_little_changes_nothing(life: Life) -> None:
    session = await life.sessions.create("api", "u", {})
    life.passes(-0.5)
    assert await life.sessions.catch_up()
    assert (await life.sessions.get(session.id)).last_activity == session.last_activity


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
    # Few sessions make several steps.
    monkeypatch.setattr(session_table, "STEP", 2)
    ids = {(await life.sessions.create("api", "u", {})).id for _ in range(5)}
    life.events()
    life.passes(TIMEOUT)
    assert await life.sessions.catch_up()
    assert {facts["id"] for _, facts in life.events()} == ids


async def test_terminated_ones_are_removed_after_their_retention(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each `catch_up` removes.
    monkeypatch.setattr("prx.agent.session_retention._PAUSE_SECS", 0)
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
    monkeypatch.setattr("prx.agent.session_retention._MAX_TERMINATED", 3)
    # Few sessions make several steps.
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
