"""What the daemon counts and measures of itself, as plain values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Distribution:
    """How measured values lie."""

    counts: Sequence[int]
    """How many lie up to each of the metric's `bounds` and above the one before, and at last those above all."""
    total: float
    """Their sum."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is counted or measured, with a value for each set of labels."""

    name: str
    """With its unit at the end, in seconds or bytes, and without `_total`, which counters get when they are shown."""
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...] = ()
    samples: Sequence[tuple[tuple[str, ...], float | Distribution]] = ()
    """The labels' values, each set once, with a `Distribution` for a histogram."""
    bounds: tuple[float, ...] = ()
    """Of a histogram."""


MetricSource = Callable[[], Iterable[Metric]]
"""Asked on the event loop at each scrape; it does not block."""


def counter(name: str, about: str, value: float) -> Metric:
    """Return a count without labels; it only grows."""
    return Metric(name, "counter", about, samples=(((), value),))


def gauge(name: str, about: str, value: float) -> Metric:
    """Return a measurement without labels."""
    return Metric(name, "gauge", about, samples=(((), value),))
