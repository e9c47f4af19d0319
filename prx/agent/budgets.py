"""What turns may use: tokens of the model and money, per session and per day."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from prx.config.schema import BudgetsConfig
from prx.core.errors import ConflictError, PrxError, UnavailableError
from prx.core.session import TokenUsage

_KEPT_DAYS: Final = 400


class Spent(NamedTuple):
    """What was used."""

    tokens: int = 0
    cost_usd: float = 0.0

    def plus(self, usage: TokenUsage, cost_usd: float | None) -> "Spent":
        """Return the sum with what one answer took; one without a price counts as free."""
        return Spent(self.tokens + usage.input + usage.output, self.cost_usd + (cost_usd or 0.0))


class BudgetError(PrxError):
    """A turn has used what may be used."""

    code = "budget_exceeded"


class Budgets:
    """Refuses what would go beyond `agent.budgets`. A day is one of UTC."""

    def __init__(self, config: Callable[[], BudgetsConfig], clock: Callable[[], datetime]) -> None:
        """Start with nothing used today; `restore` knows better."""
        self._config = config
        self._clock = clock
        self._day = self._today()
        self._spent = Spent()

    @property
    def today(self) -> Spent:
        """What was used today, turns that go on included."""
        return self._spent if self._day == self._today() else Spent()

    def restore(self, db: sqlite3.Connection) -> None:
        """Begin with what the store knows of today. Runs in the store's thread, before anything is used."""
        row = db.execute(
            "SELECT input_tokens + output_tokens, cost_usd FROM daily_usage WHERE day = ?", (self._day,)
        ).fetchone()
        self._spent = Spent() if row is None else Spent(*row)

    def note(self, usage: TokenUsage, cost_usd: float | None) -> None:
        """Count one answer of a model as used today."""
        self._spent, self._day = self.today.plus(usage, cost_usd), self._today()

    def keep(self, db: sqlite3.Connection, usage: TokenUsage, cost_usd: float | None) -> None:
        """Add to what the store knows of today. Runs in the store's thread."""
        db.execute(
            "INSERT INTO daily_usage (day, input_tokens, output_tokens, cost_usd) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (day) DO UPDATE SET input_tokens = input_tokens + excluded.input_tokens, "
            "output_tokens = output_tokens + excluded.output_tokens, cost_usd = cost_usd + excluded.cost_usd",
            (self._today(), *usage, cost_usd or 0.0),
        )
        oldest = (self._clock() - timedelta(days=_KEPT_DAYS)).astimezone(UTC).date().isoformat()
        db.execute("DELETE FROM daily_usage WHERE day < ?", (oldest,))

    def check_day(self) -> None:
        """Refuse a message once the day's budget is used up.

        Raises:
            UnavailableError: it is; says until when.
        """
        reason = self._day_reason()
        if reason is not None:
            now = self._clock().astimezone(UTC)
            midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            raise UnavailableError(
                f"No message is taken before midnight UTC: {reason}",
                retry_after_secs=max(1, int((midnight - now).total_seconds())),
            )

    def check_session(self, session_id: str, spent: Spent) -> None:
        """Refuse a message in a session whose budget is used up.

        Raises:
            ConflictError: it is.
        """
        reason = self._session_reason(spent)
        if reason is not None:
            raise ConflictError(f"Session {session_id} takes no more messages: {reason}; begin another")

    def check_turn(self, spent: Spent) -> None:
        """Refuse another request to the model in a turn whose session has used `spent`, the turn included.

        Raises:
            BudgetError: the session's budget is used up, or the day's.
        """
        reason = self._session_reason(spent) or self._day_reason()
        if reason is not None:
            raise BudgetError(f"The turn was ended: {reason}")

    def _session_reason(self, spent: Spent) -> str | None:
        config = self._config()
        return _beyond(
            spent, config.session_tokens, config.session_cost_usd, "the session", "agent.budgets.session"
        )

    def _day_reason(self) -> str | None:
        config = self._config()
        return _beyond(self.today, config.daily_tokens, config.daily_cost_usd, "today", "agent.budgets.daily")

    def _today(self) -> str:
        return self._clock().astimezone(UTC).date().isoformat()


def _beyond(
    spent: Spent, most_tokens: int | None, most_cost_usd: float | None, whose: str, key: str
) -> str | None:
    """Say which limit is reached, and what would raise it."""
    if most_tokens is not None and spent.tokens >= most_tokens:
        return f"{spent.tokens} tokens are used ({whose}), of {most_tokens} ({key}_tokens)"
    if most_cost_usd is not None and spent.cost_usd >= most_cost_usd:
        return f"{_usd(spent.cost_usd)} USD are spent ({whose}), of {_usd(most_cost_usd)} ({key}_cost_usd)"
    return None


def _usd(amount: float) -> str:
    """Return an amount with its cents, and with as many more digits as it has: answers cost fractions of a cent."""
    whole, _, rest = f"{amount:.6f}".partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"
