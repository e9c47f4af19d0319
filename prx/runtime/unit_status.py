"""What the supervisor knows of units, and how it treats them: plain data."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from prx.core.metric import Metric

State = Literal["stopped", "starting", "running", "backoff", "stopping", "failed"]

_STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a unit that failed is started again, and when it is given up. Times are in seconds."""

    first_pause_secs: float = 2.0
    most_pause_secs: float = 60.0
    healthy_secs: float = 60.0
    """A unit that ran this long begins again with the first pause, and its failures are forgotten."""
    max_restarts: int | None = 10
    """Restarts within `window_secs` before the unit is `failed`; None never gives up."""
    window_secs: float = 600.0
    stop_secs: float = 10.0
    """How long a unit may take to stop."""


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """What the supervisor knows of a unit."""

    name: str
    state: State
    reason: str | None
    """Why it is in `backoff` or `failed`; None otherwise."""
    since: datetime
    restarts: int
    """How often it was started again since it was added, by itself or because somebody asked."""
    failures: int = 0
    """How often in a row it failed, without a healthy time in between."""


def metrics_of(units: Sequence[UnitStatus]) -> list[Metric]:
    """Return how many units are in each state, and how each is."""
    count = Counter(unit.state for unit in units)
    return [
        Metric(
            "prx_units",
            "gauge",
            "Supervised parts by state",
            ("state",),
            [((state,), count[state]) for state in _STATES],
        ),
        Metric(
            "prx_unit_up",
            "gauge",
            "Whether a supervised part runs",
            ("unit",),
            [((unit.name,), unit.state == "running") for unit in units],
        ),
        Metric(
            "prx_unit_restarts",
            "counter",
            "How often a supervised part was started again",
            ("unit",),
            [((unit.name,), unit.restarts) for unit in units],
        ),
    ]
