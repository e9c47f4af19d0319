"""Sessions do what a simple model of them does."""

import asyncio
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prx.core.errors import ConflictError
from prx.core.session import SessionStatus
from tests.support.examples import costly
from tests.support.sessions import IDLE, STATUSES, TIMEOUT, Life, living


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
