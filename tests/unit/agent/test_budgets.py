"""What turns may use, by a clock that the test sets."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prx.agent.budgets import BudgetError, Budgets, Spent
from prx.config.schema import BudgetsConfig
from prx.core.errors import UnavailableError
from prx.core.session import TokenUsage
from prx.runtime.store import Store


class Clock:
    now = datetime(2026, 3, 21, 23, 59, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


def limited(clock: Clock, **limits: float) -> Budgets:
    config = BudgetsConfig.model_validate(limits)
    return Budgets(lambda: config, clock)


def test_without_limits_everything_may_be_used(clock: Clock) -> None:
    budgets = limited(clock)
    budgets.note(TokenUsage(10**9, 10**9), 1e6)
    budgets.check_day()
    budgets.check_session("sess_1", Spent(10**9, 1e6))
    budgets.check_turn(Spent(10**9, 1e6))


def test_a_day_ends_at_midnight_utc(clock: Clock) -> None:
    budgets = limited(clock, daily_tokens=10)
    budgets.note(TokenUsage(4, 5), None)
    budgets.check_day()
    budgets.note(TokenUsage(1, 0), 0.5)
    with pytest.raises(UnavailableError) as refused:
        budgets.check_day()
    assert refused.value.retry_after_secs == 60
    with pytest.raises(BudgetError, match=r"10 tokens are used \(today\), of 10"):
        budgets.check_turn(Spent())
    clock.now += timedelta(seconds=60)
    budgets.check_day()
    assert budgets.today == Spent()


async def test_what_was_used_today_is_found_again_and_old_days_are_forgotten(
    clock: Clock, store: Store
) -> None:
    budgets = limited(clock)
    for _ in range(2):
        await store.run(lambda db: budgets.keep(db, TokenUsage(1, 2), 0.5))
    again = limited(clock)
    await store.run(again.restore)
    assert again.today == Spent(6, 1.0)
    clock.now += timedelta(days=401)
    await store.run(lambda db: budgets.keep(db, TokenUsage(1, 2), None))
    days = await store.run(lambda db: db.execute("SELECT day, cost_usd FROM daily_usage").fetchall())
    assert days == [("2027-04-26", 0.0)]
